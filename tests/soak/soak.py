"""Runs a soak, and says what came of it."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.soak.changer import Changer
from tests.soak.faults import FAULTS, TRITON_FAULTS, Fault, Place, replace_index
from tests.soak.load import Load, asked, calling
from tests.soak.proxy import FaultyProxy
from tests.soak.resources import Held, Samples, shared_regions
from tests.soak.supervised_server import SupervisedServer
from tests.soak.world import Answer, Query, World, make_world
from tests.support.local_triton import LocalTriton, serving
from tests.support.patience import PATIENCE_S, eventually

SHARED_MARK = "beauty_triton_"
SAMPLE_EVERY_S = 1.0
KEPT_VERSIONS = 10_000  # all: both catalogues stay


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """How long, and how hard.

    Attributes:
        seconds: how long.
        every_s: from a fault to the next one.
        with_triton: whether a Triton serves the models.
        stopped_s: how long a process is stopped, or a connection held.
        callers: how many search at the same time.
        pause_s: between two searches of a caller.
        change_pause_s: between two changes.
        compact_after: number of changes at which the server compacts.
        seed: of the order of the faults.
        faults: how many at most; None for as many as the time allows.
    """

    seconds: float
    every_s: float
    with_triton: bool
    stopped_s: float = 5.0
    callers: int = 6
    pause_s: float = 0.02
    change_pause_s: float = 0.2
    compact_after: int = 100
    seed: int = 1
    faults: int | None = None


@dataclass
class SoakResult:
    """What came of it.

    Attributes:
        outcomes: how often a search ended with a status.
        wrong: what was no right answer and no status of a server that is broken.
        changes: how many upserts and deletes were answered.
        lost: products that are not as the answered changes made them.
        versions: how many there are at the end; compactions make all but two.
        back_s: the time from the end of each fault to the first right answer, by fault.
        samples: what the server held.
        regions: of Triton's shared memory, at the start and at the end.
        starts: how often the server was started.
        exit_status: of the server, by SIGTERM at the end.
        triton_left: processes and shared memory of Triton after its end.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    versions: int = 0
    back_s: dict[str, list[float]] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    regions: tuple[int, int] = (0, 0)
    starts: int = 0
    exit_status: int = -1
    triton_left: tuple[str, ...] = ()

    def descriptors(self) -> tuple[Held, Held]:
        """The fewest and the last open files of the process that ran longest."""
        longest = self.samples.longest
        return min(longest, key=lambda each: each.descriptors), longest[-1]


def soak(settings: SoakSettings, say: Callable[[str], None]) -> SoakResult:
    """Run a soak.

    Args:
        settings: of it.
        say: is told what happens.
    """
    result = SoakResult()
    with tempfile.TemporaryDirectory(prefix="soak-") as name, _triton(settings, name) as parts:
        world, triton = parts
        engine = (
            ()
            if triton is None
            else ("--engine", "triton", "--triton-url", triton.addresses["grpc"])
        )
        server = SupervisedServer(
            Path(name),
            "--index", world.index,
            "--model-repository", world.repository,
            "--reload-every-s", 0.2,
            "--max-loss", 1,
            "--drain-delay-s", 0,
            "--writable",
            "--compact-after", settings.compact_after,
            "--keep-versions", KEPT_VERSIONS,
            *engine,
        )  # fmt: skip
        proxy = FaultyProxy(lambda: server.port)
        changer = Changer(proxy.address, world, settings.change_pause_s)
        place = Place(world, server, proxy, changer, triton, settings.stopped_s)
        try:
            _until_right(place)
            _run(settings, place, result, say)
        finally:
            changer.stop()
        _end(place, result)
        proxy.close()
        result.starts, result.exit_status = server.starts, server.stop()
    if triton is not None:
        result.triton_left = tuple(triton.traces())
    return result


@contextmanager
def _triton(settings: SoakSettings, folder: str) -> Iterator[tuple[World, LocalTriton | None]]:
    world = make_world(Path(folder))
    if not settings.with_triton:
        yield world, None
        return
    with serving(world.repository, Path(folder) / "triton") as triton:
        assert triton.addresses, triton.log
        yield world, triton


def _run(
    settings: SoakSettings, place: Place, result: SoakResult, say: Callable[[str], None]
) -> None:
    load = Load(place.proxy.address, place.world, settings.callers, settings.pause_s)
    regions = shared_regions(SHARED_MARK)
    generator = random.Random(settings.seed)
    ends = time.monotonic() + settings.seconds
    for fault in islice(_faults(place, generator), settings.faults):
        _rest(min(ends, time.monotonic() + settings.every_s), place, result)
        if time.monotonic() >= ends:
            break
        fault(place, generator)
        back_s = _until_right(place)
        result.back_s.setdefault(fault.__name__, []).append(back_s)
        say(f"{fault.__name__}: right again after {back_s:.1f} s")
    load.stop()
    place.changer.stop()
    load.judge()
    _rest(time.monotonic() + 2 * SAMPLE_EVERY_S, place, result)
    result.outcomes, result.wrong = load.outcomes, load.wrong
    result.regions = (regions, shared_regions(SHARED_MARK))


def _end(place: Place, result: SoakResult) -> None:
    """Compare what is served of both catalogues with the changes that were answered."""
    compared: set[int] = set()

    def all_are_compared() -> bool:
        lineage, lost = place.changer.lost()
        if lineage not in compared:
            compared.add(lineage)
            result.lost += lost
            replace_index(place, random.Random())
        return len(compared) == len(place.world.histories)

    eventually(all_are_compared)
    place.changer.close()
    result.wrong += place.changer.wrong
    result.changes = place.changer.answered
    result.versions = place.world.versions


def _faults(place: Place, generator: random.Random) -> Iterator[Fault]:
    """All faults in a random order, again and again."""
    known = FAULTS + (() if place.triton is None else TRITON_FAULTS)
    while True:
        yield from generator.sample(known, len(known))


def _rest(until: float, place: Place, result: SoakResult) -> None:
    """Sample what the server holds until a time."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, SAMPLE_EVERY_S))
        result.samples.add(place.server.pid)


def _until_right(place: Place) -> float:
    """Wait until a new caller gets right answers of every kind; the seconds it took."""
    started = time.monotonic()
    kinds = place.world.queries[:: len(place.world.queries) // 3][:3]
    while time.monotonic() < started + PATIENCE_S:
        with calling(place.proxy.address) as caller:
            if all(_is_right(place.world, query, asked(query, caller)) for query in kinds):
                return time.monotonic() - started
        time.sleep(0.05)
    raise AssertionError(f"not right within {PATIENCE_S} s: {place.server.log.read_text()[-2000:]}")


def _is_right(world: World, query: Query, answer: Answer | str) -> bool:
    return not isinstance(answer, str) and world.is_right(query, answer) is True
