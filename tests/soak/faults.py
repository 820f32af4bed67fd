"""The faults of a soak: each breaks something, and mends what the system cannot mend itself."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from export.index.compact import compact
from retrieval_server.errors import RetrievalError
from retrieval_server.index.current_lock import current_lock
from retrieval_server.index.publish import make_current
from tests.soak.changer import Changer
from tests.soak.proxy import FaultyProxy
from tests.soak.supervised_server import SupervisedServer
from tests.soak.world import World
from tests.support.local_triton import LocalTriton
from tests.support.programs.command import command
from tests.support.programs.limited_files import export_to_small_files

SMALL_FILE = 2_000  # bytes; the manifest of a version is longer


@dataclass(frozen=True)
class Place:
    """What faults are made in.

    Attributes:
        world: the index and the models.
        server: the server.
        proxy: between the callers and the server.
        changer: changes the catalogue.
        triton: serves the models; None where they run in the server.
        stopped_s: how long a process is stopped.
    """

    world: World
    server: SupervisedServer
    proxy: FaultyProxy
    changer: Changer
    triton: LocalTriton | None
    stopped_s: float


def kill_server(place: Place, generator: random.Random) -> None:
    place.server.send(signal.SIGKILL)


def stop_server(place: Place, generator: random.Random) -> None:
    _stopped(place.server.pid, place.stopped_s)


def cut_connections(place: Place, generator: random.Random) -> None:
    place.proxy.cut()


def hold_connections(place: Place, generator: random.Random) -> None:
    place.proxy.hold()
    time.sleep(place.stopped_s)
    place.proxy.release()


def replace_index(place: Place, generator: random.Random) -> None:
    """Publish the other catalogue, between two changes: each then belongs to one of the two."""
    with place.changer.between, current_lock(place.world.index):
        make_current(place.world.index, place.world.other())


def forget_files(place: Place, generator: random.Random) -> None:
    """Drop the index from the page cache, as a slow disk would: the next reads go to the disk."""
    for path in place.world.index.rglob("*.npy"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def fill_disk(place: Place, generator: random.Random) -> None:
    """Build an index into the served folder, where no file can grow: the build has to fail."""
    words = [str(SMALL_FILE), "index", str(place.world.catalogue), "--half-precision"]
    words += [
        "--max-loss",
        "1",
        "--output",
        str(place.world.index),
        "--profile",
        str(place.world.profile_file),
    ]
    words += ["--model-repository", str(place.world.repository)]
    done = subprocess.run(
        command(export_to_small_files, *words), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr


def fill_log(place: Place, generator: random.Random) -> None:
    """Let no file of the server grow for a while: changes are refused, and searches go on."""
    pid = place.server.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    time.sleep(place.stopped_s)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def compact_index(place: Place, generator: random.Random) -> None:
    """Compact beside the server, unless it does so itself just now."""
    with contextlib.suppress(RetrievalError):
        compact(place.world.index)


def kill_compaction(place: Place, generator: random.Random) -> None:
    words = [sys.executable, "-m", "export", "compact", str(place.world.index)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(generator.uniform(0, place.stopped_s))
        process.kill()


def kill_triton(place: Place, generator: random.Random) -> None:
    _kill_one(place, "tritonserver", generator)


def kill_stub(place: Place, generator: random.Random) -> None:
    _kill_one(place, "stub", generator)


def stop_triton(place: Place, generator: random.Random) -> None:
    assert place.triton is not None
    for pid in place.triton.pids("tritonserver"):
        _stopped(pid, place.stopped_s)


Fault = Callable[[Place, random.Random], None]
FAULTS: tuple[Fault, ...] = (
    kill_server,
    stop_server,
    cut_connections,
    hold_connections,
    replace_index,
    forget_files,
    fill_disk,
    fill_log,
    compact_index,
    kill_compaction,
)
TRITON_FAULTS: tuple[Fault, ...] = (kill_triton, kill_stub, stop_triton)


def _kill_one(place: Place, program: str, generator: random.Random) -> None:
    assert place.triton is not None
    if pids := place.triton.pids(program):
        os.kill(generator.choice(pids), signal.SIGKILL)


def _stopped(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
