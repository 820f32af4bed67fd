"""Restarts a local Triton and its stubs: Triton 24.10 restarts neither itself nor a dead stub.

A model whose stub died stays "ready" and answers every request with an error. So the supervisor
polls the running processes and compares them with the expected ones. It acts on this state, because
it could miss the event of a death between two polls.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from errors import LocalTritonError, TritonCallError, log_line
from triton_control import Json
from triton_server import STALL_TIMEOUT_S, TritonServer

POLL_INTERVAL_S = 0.25
POLLS_BEFORE_RELOAD = 2  # while a model loads, it has fewer stubs for a short time
RELOAD_TIMEOUT_S = 30.0
MAX_BACKOFF_S = 8.0  # after the files are repaired, a restart follows within this time


class Supervisor:
    """Polls one server, which must be ready, and restarts it or its stubs."""

    def __init__(self, server: TritonServer, startup_timeout_s: float) -> None:
        self._server = server
        self._startup_timeout_s = startup_timeout_s
        self._nonces = itertools.count(1)
        self._loader = ThreadPoolExecutor(1)
        self._failed_polls: Counter[str] = Counter()  # in a row, by model
        self._expected = self._expected_stubs()

    def run(self) -> None:
        """Poll and repair, until a signal handler raises an exception."""
        while True:
            time.sleep(POLL_INTERVAL_S)
            if self._server.exit_code is not None:
                self._restart(f"tritonserver ended ({self._server.exit_code})")
            else:
                self._repair_models()

    def _repair_models(self) -> None:
        running = Counter(self._server.stubs().values())
        for model, expected in self._expected.items():
            is_incomplete = running[model] < expected
            self._failed_polls[model] = self._failed_polls[model] + 1 if is_incomplete else 0
            if self._failed_polls[model] >= POLLS_BEFORE_RELOAD:
                self._failed_polls[model] = 0
                self._reload(model, f"{model} had {running[model]} of {expected} stubs")

    def _reload(self, model: str, reason: str) -> None:
        """Load a model again, or restart the server if that fails."""
        control, started = self._server.control, time.monotonic()
        old_stubs = self._stubs_of(model)
        try:
            versions = control.index()
            if not any(entry.model == model and entry.state == "READY" for entry in versions):
                return  # the model was unloaded on purpose
            load = self._loader.submit(
                control.reload, model, nonce=next(self._nonces), timeout_s=RELOAD_TIMEOUT_S
            )
            self._wait_for_load(load, model, old_stubs)
            load.result()
        except TritonCallError as error:
            if self._server.exit_code is None:  # after an exit, the next poll restarts the server
                self._restart(f"{reason} and cannot be loaded again ({error})")
            return
        # Triton cannot unload a version that lost a stub
        for pid in old_stubs & self._stubs_of(model):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        log_line(f"{reason}; loaded again in {time.monotonic() - started:.1f} s")

    def _wait_for_load(self, load: Future[None], model: str, old_stubs: set[int]) -> None:
        """Wait for a load; kill the server if Triton waits for a stub that died during the load.

        Raises:
            TritonCallError: if the server ended. The call of the load may not return then, because
                the stubs inherited its connection and keep it open.
        """
        last_seen = time.monotonic()
        while not load.done():
            time.sleep(POLL_INTERVAL_S)
            if self._server.exit_code is not None:
                raise TritonCallError("tritonserver ended")
            if self._stubs_of(model) - old_stubs:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > STALL_TIMEOUT_S:
                log_line(f"{model} waits for a stub that died while it was loaded")
                self._server.kill()  # this ends the load, too; the next poll restarts the server

    def _stubs_of(self, model: str) -> set[int]:
        return {pid for pid, stub_model in self._server.stubs().items() if stub_model == model}

    def _restart(self, reason: str) -> None:
        """Restart the server on the same ports, with an increasing pause after each failure."""
        started, pause_s = time.monotonic(), 0.5
        while True:
            self._server.kill()
            try:
                self._server.start(self._startup_timeout_s)
                self._expected = self._expected_stubs()
            except LocalTritonError as error:
                log_line(f"{reason}; cannot start it again, retry in {pause_s:g} s: {error}")
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_BACKOFF_S)
            else:
                break
        self._failed_polls.clear()
        log_line(f"{reason}; started again in {time.monotonic() - started:.1f} s")

    def _expected_stubs(self) -> dict[str, int]:
        """The expected number of stubs by model: instances × versions."""
        index = self._server.control.index()
        versions = Counter(entry.model for entry in index if entry.state == "READY")
        configs = {model: self._server.control.config(model) for model in self._server.models}
        return {
            model: versions[model] * _instances(config)
            for model, config in configs.items()
            if "ensemble_scheduling" not in config
        }


def _instances(config: dict[str, Json]) -> int:
    return sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
