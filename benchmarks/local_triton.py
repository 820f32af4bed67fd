"""A real local Triton that runs during a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVE = Path(__file__).parents[1] / "deploy" / "local_triton" / "serve.py"
STUB, SERVER = "triton_python_backend_stub", "bin/tritonserver"


@contextmanager
def local_triton(repository: Path, models: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Serve models on free ports of this machine.

    Args:
        repository: the model repository.
        models: names of the models to serve.

    Yields:
        ``host:port`` of ``grpc``, ``http`` and ``metrics``.

    Raises:
        RuntimeError: if Triton cannot be started; the message is the log of serve.py.
    """
    with tempfile.TemporaryDirectory() as folder:
        addresses, log = Path(folder) / "addresses.json", Path(folder) / "log.txt"
        command = [sys.executable, SERVE, "--model-repository", repository, "--models", *models]
        for port in ("grpc", "http", "metrics"):
            command += [f"--{port}-port", "0"]
        with log.open("w") as file:
            process = subprocess.Popen([*command, "--address-file", addresses], stderr=file)
        try:
            while not addresses.exists():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            yield json.loads(addresses.read_text())
        finally:
            process.terminate()
            process.wait()


def cpu_seconds() -> dict[str, float]:
    """User and system time until now: of this process, of all tritonservers and of all stubs."""
    spent = {"this process": time.process_time(), SERVER: 0.0, STUB: 0.0}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                program = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[0]
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # the process ended in the meantime
            for name in (SERVER, STUB):
                if program.endswith(name):
                    spent[name] += (int(fields[11]) + int(fields[12])) / 100  # from clock ticks
    return spent
