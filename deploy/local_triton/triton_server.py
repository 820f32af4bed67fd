"""One tritonserver process: its command, and how to start and stop it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from environment import Environment
from errors import LocalTritonError, TritonCallError
from traces import marked_processes, remove_traces
from triton_control import TritonControl

POLL_INTERVAL_S = 0.1
STALL_TIMEOUT_S = 4.0  # a loading model has a new stub in far less time
EXIT_TIMEOUT_S = 5
DRAIN_S = 2.0  # for requests in flight; a kill is faster than the rest of Triton's shutdown
STUB = "triton_python_backend_stub"
LOG_PREFIX = re.compile(r"^[EWI]\d{4} [\d:.]+ \d+ \S+\]\s*")
LOG_LINES = 3
WITHOUT_GPU = ("CUDA", "Cuda")  # words of the warnings that Triton logs without a GPU


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The address and the ports on which a server listens.

    Attributes:
        host: address to bind.
        grpc_port: port for gRPC.
        http_port: port for HTTP.
        metrics_port: port for the metrics.
    """

    host: str
    grpc_port: int
    http_port: int
    metrics_port: int


class TritonServer:
    """A tritonserver process and its stubs; can be started again after it ended."""

    def __init__(
        self,
        environment: Environment,
        repository: Path,
        models: tuple[str, ...],
        endpoints: Endpoints,
        *,
        config_name: str | None = None,
        log_file: Path | None = None,
    ) -> None:
        self.models = models
        self.mark = f"beauty_triton_{os.getpid()}_{os.urandom(4).hex()}_"
        host = "127.0.0.1" if endpoints.host in {"0.0.0.0", ""} else endpoints.host  # noqa: S104
        self.control = TritonControl(host=host, port=endpoints.http_port)
        self._command = [
            str(environment.tritonserver),
            f"--model-repository={repository}",
            f"--backend-directory={environment.backends}",
            f"--cache-directory={environment.triton / 'caches'}",
            "--model-control-mode=explicit",  # so that the supervisor can load a model again
            *(f"--load-model={model}" for model in models),
            # all at once: a model that waits for its turn would look like one whose stub died
            f"--model-load-thread-count={len(models)}",
            "--exit-on-error=false",  # so that the index has the model that failed, with the reason
            f"--grpc-address={endpoints.host}",
            f"--grpc-port={endpoints.grpc_port}",
            f"--http-address={endpoints.host}",
            f"--http-port={endpoints.http_port}",
            f"--metrics-address={endpoints.host}",
            f"--metrics-port={endpoints.metrics_port}",
            "--allow-gpu-metrics=false",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            f"--backend-config=python,shm-region-prefix-name={self.mark}",
            *([f"--model-config-name={config_name}"] if config_name else ()),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        # stays open as long as this object; an unnamed file without --log-file
        self._log = log_file.open("w+b") if log_file else tempfile.TemporaryFile()  # noqa: SIM115

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else 0

    def start(self, timeout_s: float) -> None:
        """Start the process, and wait until the server and every model are ready.

        Args:
            timeout_s: limit for the whole start; Triton waits forever for a stub that cannot start.

        Raises:
            LocalTritonError: if the process ends, a model cannot be loaded, or the time is over; no
                process is left then.
        """
        self._log.seek(0)  # tritonserver writes at this offset
        self._log.truncate()
        self._process = subprocess.Popen(  # noqa: S603 - our own binary and paths
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready(timeout_s)
        except LocalTritonError:
            self.kill()
            raise

    def stubs(self) -> dict[int, str]:
        """The model of each running stub, by process id."""
        return {
            # a stub's first argument is the path of its version's backend file
            pid: Path(arguments[1]).parents[1].name
            for pid, arguments in marked_processes(self.mark).items()
            if arguments[0].endswith(STUB)
        }

    def stop(self) -> None:
        """Stop the server: by SIGTERM, then by `kill`."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(DRAIN_S)
        self.kill()

    def kill(self) -> None:
        """Kill the server's process group, and remove every trace of its mark."""
        if self._process:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        remove_traces(self.mark)

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        last_seen: dict[str, float] = {}  # time of the last running stub, by model
        while not self.control.is_ready():
            if self.exit_code is not None:
                raise LocalTritonError(
                    f"tritonserver ended ({self.exit_code}): {self._log_errors()}"
                )
            failures = self._failed_models()
            if failures:
                raise LocalTritonError("; ".join(failures))
            if time.monotonic() > deadline:
                log = self._log_text()
                pending = [model for model in self.models if f"loaded '{model}'" not in log]
                raise LocalTritonError(
                    f"tritonserver was not ready after {timeout_s:g} s (--startup-timeout-s); not "
                    f"loaded yet: {', '.join(pending) or 'none'}. In its log: {self._log_errors()}"
                )
            self._refuse_stalled(last_seen)
            time.sleep(POLL_INTERVAL_S)

    def _refuse_stalled(self, last_seen: dict[str, float]) -> None:
        """Raise an error if Triton waits for a stub that died; it would wait forever."""
        log, now = self._log_text(), time.monotonic()
        stubs = set(self.stubs().values())
        for model in self.models:
            is_loading = f"loading: {model}:" in log and f"loaded '{model}'" not in log
            if not is_loading or model in stubs:
                last_seen[model] = now
            elif now - last_seen.setdefault(model, now) > STALL_TIMEOUT_S:
                raise LocalTritonError(f"{model} waits for a stub that died while it was loaded")

    def _failed_models(self) -> list[str]:
        try:
            index = self.control.index()
        except TritonCallError:
            return []  # Triton listens only after it has loaded or refused every model
        return [
            f"Cannot load {entry.model}: {' '.join(entry.reason.split())}"
            for entry in index
            if entry.model in self.models and entry.state == "UNAVAILABLE"
        ]

    def _log_errors(self) -> str:
        """The last errors in the log, or its last lines if it has none, as one line."""
        lines = [line.strip() for line in self._log_text().splitlines() if line.strip()]
        lines = [line for line in lines if not any(word in line for word in WITHOUT_GPU)]
        errors = [line for line in lines if line.startswith(("E", "error"))]
        last = [LOG_PREFIX.sub("", line) for line in (errors or lines)[-LOG_LINES:]]
        return " | ".join(last) or "no message"

    def _log_text(self) -> str:
        # without seek, which would move the shared offset at which tritonserver writes
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")
