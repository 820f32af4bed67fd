"""Runs a real ``beauty-server`` for a benchmark, and tells the CPU time that it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retrieval_server.serving.check_health import health_of

PATIENCE_S = 300


class ServerProcess:
    """A server that can be stopped and started again, then at the same address.

    Args:
        index: the index's folder.
        models: the model repository.
        options: further options of the command.
        program: the module that runs, and its first arguments.
    """

    def __init__(
        self,
        index: Path,
        models: Path,
        *options: str,
        program: Sequence[str] = ("retrieval_server",),
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._address_file = Path(self._folder.name) / "address"
        self._log = Path(self._folder.name) / "log.txt"
        command = [sys.executable, "-m", *program, "--index", index]
        command += ["--model-repository", models, "--address-file", self._address_file, *options]
        self._command = list(map(str, command))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = "127.0.0.1:0"  # a free port, the first time

    @property
    def pid(self) -> int:
        """Id of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it is ready.

        Raises:
            RuntimeError: if it ends or does not become ready in time; the message is its log.
        """
        self._address_file.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2]
        with self._log.open("w") as log:
            self._process = subprocess.Popen([*self._command, "--port", port], stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not (
            self._address_file.exists() and health_of(self._address_file.read_text()) == "SERVING"
        ):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.01)
        self.address = self._address_file.read_text().strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process by a signal, and wait until it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        self._folder.cleanup()


@contextmanager
def running_server(
    index: Path, models: Path, *options: str, program: Sequence[str] = ("retrieval_server",)
) -> Iterator[tuple[int, str]]:
    """A ready server that runs during a block.

    Args:
        index: the index's folder.
        models: the model repository.
        options: further options of the command.
        program: the module that runs, and its first arguments.

    Yields:
        Its process id, and ``host:port``.
    """
    server = ServerProcess(index, models, *options, program=program)
    try:
        server.start()
        yield server.pid, server.address
    finally:
        server.close()


def cpu_seconds_of(process: int) -> float:
    """User and system time of a process until now, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
