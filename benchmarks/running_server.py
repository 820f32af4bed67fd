"""Runs a real ``beauty-server`` for a benchmark."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retrieval_server.serving.check_health import health_of

PATIENCE_S = 300


@contextmanager
def running_server(
    index: Path, models: Path, *options: str, program: Sequence[str] = ("retrieval_server",)
) -> Iterator[tuple[int, str]]:
    """A ready server that runs during a block.

    Args:
        index: the index's folder.
        models: the model repository.
        options: further options of the command.
        program: module that runs the command, and what comes before its options.

    Yields:
        Its process id, and ``host:port``.

    Raises:
        RuntimeError: if the server ends or does not become ready in time; the message is its log.
    """
    with tempfile.TemporaryDirectory() as folder:
        address_file, log = Path(folder) / "address", Path(folder) / "log.txt"
        command = [sys.executable, "-m", *program, "--index", index, "--port", "0"]
        command += ["--model-repository", models, "--address-file", address_file, *options]
        with log.open("w") as file:
            process = subprocess.Popen(list(map(str, command)), stderr=file)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not address_file.exists() or health_of(address_file.read_text()) != "SERVING":
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text())
                time.sleep(0.01)
            yield process.pid, address_file.read_text().strip()
        finally:
            process.terminate()
            process.wait()
