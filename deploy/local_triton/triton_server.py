"""One tritonserver: its command, its start, its end."""

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

POLL_S = 0.1
STALLED_S = 4.0  # being loaded without a stub: from one stub to the next it takes far less
EXIT_TIMEOUT_S = 5
DRAIN_S = 2.0  # for requests in flight; what Triton does after them, a kill does sooner
STUB = "triton_python_backend_stub"
LOG_PREFIX = re.compile(r"^[EWI]\d{4} [\d:.]+ \d+ \S+\]\s*")
LOG_LINES = 3
WITHOUT_GPU = ("CUDA", "Cuda")  # what Triton complains of wherever there is no GPU


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where a server listens.

    Attributes:
        host: address to bind.
        grpc_port: port of gRPC.
        http_port: port of HTTP.
        metrics_port: port of the metrics.
    """

    host: str
    grpc_port: int
    http_port: int
    metrics_port: int


class TritonServer:
    """A tritonserver process and its stubs; can be started again after its end."""

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
        here = "127.0.0.1" if endpoints.host in {"0.0.0.0", ""} else endpoints.host  # noqa: S104
        self.control = TritonControl(host=here, port=endpoints.http_port)
        self._command = [
            str(environment.tritonserver),
            f"--model-repository={repository}",
            f"--backend-directory={environment.backends}",
            f"--cache-directory={environment.triton / 'caches'}",
            "--model-control-mode=explicit",  # a model can be loaded again
            *(f"--load-model={model}" for model in models),
            "--exit-on-error=false",  # so that the index tells which model failed, and why
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
        # open as long as this object; without a name unless someone wants to read it
        self._log = log_file.open("w+b") if log_file else tempfile.TemporaryFile()  # noqa: SIM115

    @property
    def exit_code(self) -> int | None:
        """The process's, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else 0

    def start(self, timeout_s: float) -> None:
        """Start the process and wait until it and every model are ready.

        Args:
            timeout_s: for the whole of it. A stub that cannot start makes Triton wait for ever.

        Raises:
            LocalTritonError: if it ends, a model cannot be loaded or the time is over; nothing of
                it runs then.
        """
        self._log.seek(0)  # where tritonserver writes on
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
        """The model of each living stub, by process id."""
        return {
            # a stub's first argument is the path of its version's backend file
            pid: Path(arguments[1]).parents[1].name
            for pid, arguments in marked_processes(self.mark).items()
            if arguments[0].endswith(STUB)
        }

    def stop(self) -> None:
        """End it: gently first, then with everything that has its mark."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(DRAIN_S)
        self.kill()

    def kill(self) -> None:
        """End its whole process group at once and remove every trace of it."""
        if self._process:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        remove_traces(self.mark)

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with_stub: dict[str, float] = {}  # when a model that is being loaded last had one
        while not self.control.is_ready():
            if self.exit_code is not None:
                raise LocalTritonError(
                    f"tritonserver ended ({self.exit_code}): {self._last_words()}"
                )
            failures = self._failed_models()
            if failures:
                raise LocalTritonError("; ".join(failures))
            if time.monotonic() > deadline:
                log = self._log_text()
                pending = [each for each in self.models if f"loaded '{each}'" not in log]
                raise LocalTritonError(
                    f"tritonserver was not ready after {timeout_s:g} s (--startup-timeout-s); not "
                    f"loaded yet: {', '.join(pending) or 'none'}. In its log: {self._last_words()}"
                )
            self._refuse_stalled(with_stub)
            time.sleep(POLL_S)

    def _refuse_stalled(self, with_stub: dict[str, float]) -> None:
        """Give up where Triton waits for a stub that died: it would do so for ever."""
        log, now = self._log_text(), time.monotonic()
        stubs = set(self.stubs().values())
        for model in self.models:
            is_loading = f"loading: {model}:" in log and f"loaded '{model}'" not in log
            if not is_loading or model in stubs:
                with_stub[model] = now
            elif now - with_stub.setdefault(model, now) > STALLED_S:
                raise LocalTritonError(f"{model} waits for a stub that died while it was loaded")

    def _failed_models(self) -> list[str]:
        try:
            index = self.control.index()
        except TritonCallError:
            return []  # it listens once every model is loaded or refused
        return [
            f"Cannot load {each.model}: {' '.join(each.reason.split())}"
            for each in index
            if each.model in self.models and each.state == "UNAVAILABLE"
        ]

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log_text().splitlines() if line.strip()]
        lines = [line for line in lines if not any(word in line for word in WITHOUT_GPU)]
        errors = [line for line in lines if line.startswith(("E", "error"))]
        last = [LOG_PREFIX.sub("", line) for line in (errors or lines)[-LOG_LINES:]]
        return " | ".join(last) or "nothing of use"

    def _log_text(self) -> str:
        # not by seek: tritonserver writes where the shared offset is
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")
