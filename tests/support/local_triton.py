"""Starts and watches a real local Triton, for the tests that need one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import np_to_triton_dtype

from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S, eventually

SERVE = ROOT / "deploy" / "local_triton" / "serve.py"
NOT_ON_THIS_MACHINE = 3  # serve.py's exit code


@dataclass
class LocalTriton:
    """A serve.py that is running, or has ended."""

    process: subprocess.Popen
    address_file: Path
    log_file: Path
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("error:")]

    def pids(self, program: str = "") -> list[int]:
        """Of its tritonserver, its stubs or, without a name, everything of its."""
        mark, found = f"beauty_triton_{self.process.pid}_", []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    arguments = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
                except OSError:
                    continue
                is_triton = "tritonserver" in arguments or "triton_python_backend" in arguments
                if mark in arguments and is_triton and program in arguments.split("\0")[0]:
                    found.append(int(folder.name))
        return found

    def traces(self) -> list[str]:
        regions = Path("/dev/shm").glob(f"beauty_triton_{self.process.pid}_*")
        return [*map(str, self.pids()), *map(str, regions)]

    def wait_for_end(self) -> int:
        return self.process.wait(PATIENCE_S)

    def infer(self, model: str, images: np.ndarray, outputs: tuple[str, ...] = ()):
        """One request; the answer's arrays by output name."""
        tensor = InferInput("image", images.shape, np_to_triton_dtype(images.dtype))
        tensor.set_data_from_numpy(images)
        with InferenceServerClient(self.addresses["grpc"]) as client:
            answer = client.infer(
                model,
                [tensor],
                outputs=[InferRequestedOutput(name) for name in outputs] or None,
                client_timeout=PATIENCE_S,
            )
        names = [output.name for output in answer.get_response().outputs]
        return {name: answer.as_numpy(name) for name in names}


@contextmanager
def serving(repository: Path, folder: Path, *options: str) -> Iterator[LocalTriton]:
    """Start serve.py on free ports and wait until it is ready or has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    address_file, log_file = folder / "addresses.json", folder / "log.txt"
    command = [sys.executable, str(SERVE), "--model-repository", str(repository)]
    ports = [word for name in ("grpc", "http", "metrics") for word in (f"--{name}-port", "0")]
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [*command, *ports, "--address-file", str(address_file), *options], stderr=log
        )
    local_triton = LocalTriton(process, address_file, log_file)
    try:
        eventually(lambda: address_file.exists() or process.poll() is not None)
        if process.poll() is None:
            local_triton.addresses = json.loads(address_file.read_text())
        yield local_triton
    finally:
        if process.poll() is None:
            process.terminate()
        local_triton.wait_for_end()
