"""Runs images as Compose does, without Docker: with what the kernel has for it.

A container gets its image's user and environment, a read-only root, its own processes, /tmp and
/dev/shm, no way to gain privileges, and the network namespace that all containers of a test share.
Not done: limits of memory and CPU, seccomp.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.images.builder import Builder

ENTER = """\
set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --bind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
{volumes}
exec setpriv --no-new-privs chroot --userspec="$AS" "$ROOT" env --ignore-environment {words}
"""


@dataclass(frozen=True)
class Network:
    """A network of the containers' own: loopback, and each container's name leads there.

    Attributes:
        name: of the namespace.
    """

    name: str

    def command(self, words: Sequence[str]) -> list[str]:
        """A command in this network."""
        return ["ip", "netns", "exec", self.name, *words]


@contextmanager
def network() -> Iterator[Network]:
    made = Network(f"images-{os.getpid()}")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        subprocess.run(made.command(["ip", "link", "set", "lo", "up"]), check=True)
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=True)


@dataclass(frozen=True)
class Image:
    """An image, ready to run.

    Attributes:
        root: the file system of a container of it.
        configuration: what the image says of itself.
        network: that the container is in.
    """

    root: Path
    configuration: Mapping[str, object]
    network: Network

    def words(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        volumes: Mapping[Path, str],
    ) -> list[str]:
        """The command line, on this machine, of a command in a container.

        Args:
            command: the command; empty for the image's own.
            environment: variables beside the image's.
            volumes: by folder of this machine, the path in the container; ``:ro`` at its end.
        """
        mounts = []
        for folder, where in volumes.items():
            path, _, mode = where.partition(":")
            target = self.root / path.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            mounts.append(shlex.join(["mount", "--bind", str(folder), str(target)]))
            if mode:
                mounts.append(shlex.join(["mount", "-o", f"remount,bind,{mode}", str(target)]))
        pairs = [*self.configuration["Env"], *(f"{k}={v}" for k, v in environment.items())]
        inside = shlex.join([*pairs, *(command or self.configuration["Cmd"])])
        script = ENTER.format(volumes="\n".join(mounts), words=inside)
        known = [f"ROOT={self.root}", f"AS={self.configuration['User']}"]
        apart = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
        return self.network.command(["env", *known, *apart, "sh", "-c", script])

    def run(
        self, *command: str, environment: Mapping[str, str] = {}, volumes: Mapping[Path, str] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        words = self.words(command, environment, volumes)
        return subprocess.run(words, capture_output=True, text=True, check=False)


@dataclass
class Service:
    """A container that is running.

    Attributes:
        image: what it runs.
        process: the process of this machine that waits for it.
        log: what it says.
    """

    image: Image
    process: "subprocess.Popen[bytes]"
    log: Path
    ended: int | None = field(default=None)

    def is_healthy(self) -> bool:
        """One health check of the image."""
        kind, *command = self.image.configuration["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.image.run(*command).returncode == 0

    def wait_until_healthy(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not self.is_healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def first_process(self) -> int:
        """The process that is number 1 in the container, by its number on this machine."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (child,) = task.read_text().split()
        return int(child)

    def stop(self, signal: int, within_s: float) -> int:
        """Send a signal to the container's first process; its exit status."""
        os.kill(self.first_process(), signal)
        return self.process.wait(within_s)


def image_of(builder: Builder, name: str, network: Network, hosts: Sequence[str]) -> Image:
    """Make a container of an image, in which names of hosts lead to the shared loopback."""
    root = builder.mounted(name)
    (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost {' '.join(hosts)}\n")
    return Image(root, builder.configuration(name), network)


@contextmanager
def service(
    image: Image,
    log: Path,
    command: Sequence[str] = (),
    environment: Mapping[str, str] = {},
    volumes: Mapping[Path, str] = {},
) -> Iterator[Service]:
    """Start a container; it is killed at the end, if it is still running."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            image.words(command, environment, volumes), stdout=file, stderr=file
        )
    started = Service(image, process, log)
    try:
        yield started
    finally:
        process.kill()
        process.wait()
