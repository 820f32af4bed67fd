"""Keeps a local Triton answering: Triton 24.10 restarts neither itself nor a stub that died.

A model whose stub died stays "ready" and answers every request with an error. So the supervisor
compares, again and again, what lives with what should: it acts on the state and not on the event of
a death, which could fall between two looks.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from errors import LocalTritonError, TritonCallError, say
from triton_control import Json
from triton_server import STALLED_S, TritonServer

LOOK_EVERY_S = 0.25
LOOKS_BEFORE_RELOAD = 2  # a model that is being loaded has fewer stubs for a moment
RELOAD_TIMEOUT_S = 30.0
LONGEST_PAUSE_S = 8.0  # whoever mends the files waits no longer than that


class Supervisor:
    """Watches one server, which is ready when this is made."""

    def __init__(self, server: TritonServer, startup_timeout_s: float) -> None:
        self._server = server
        self._startup_timeout_s = startup_timeout_s
        self._nonces = itertools.count(1)
        self._loader = ThreadPoolExecutor(1)
        self._short: Counter[str] = Counter()
        self._expected = self._expected_stubs()

    def run(self) -> None:
        """Look and mend until an exception, which a signal handler raises, ends it."""
        while True:
            time.sleep(LOOK_EVERY_S)
            if self._server.exit_code is not None:
                self._restart(f"tritonserver ended ({self._server.exit_code})")
            else:
                self._mend_models()

    def _mend_models(self) -> None:
        living = Counter(self._server.stubs().values())
        for model, expected in self._expected.items():
            self._short[model] = self._short[model] + 1 if living[model] < expected else 0
            if self._short[model] >= LOOKS_BEFORE_RELOAD:
                self._short[model] = 0
                self._reload(model, f"{model} had {living[model]} of {expected} stubs")

    def _reload(self, model: str, reason: str) -> None:
        """Load a model again, or start everything again if that fails."""
        control, started = self._server.control, time.monotonic()
        before = self._stubs_of(model)
        try:
            if not any(each.model == model and each.state == "READY" for each in control.index()):
                return  # someone unloaded it
            load = self._loader.submit(
                control.reload, model, nonce=next(self._nonces), timeout_s=RELOAD_TIMEOUT_S
            )
            self._await_load(load, model, before)
            load.result()
        except TritonCallError as error:
            if self._server.exit_code is None:  # else the next look sees it
                self._restart(f"{reason} and cannot be loaded again ({error})")
            return
        for pid in before & self._stubs_of(model):  # Triton cannot unload what lost a stub
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        say(f"{reason}; loaded again in {time.monotonic() - started:.1f} s")

    def _await_load(self, load: Future[None], model: str, before: set[int]) -> None:
        """Wait for a load; end the server where Triton waits for a stub that died meanwhile.

        Raises:
            TritonCallError: if the server ended. The load itself may not tell: the stubs inherited
                its connection, and keep it open.
        """
        last_seen = time.monotonic()
        while not load.done():
            time.sleep(LOOK_EVERY_S)
            if self._server.exit_code is not None:
                raise TritonCallError("tritonserver ended")
            if self._stubs_of(model) - before:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > STALLED_S:
                say(f"{model} waits for a stub that died while it was loaded")
                self._server.kill()  # which ends the load, too, and the next look starts it again

    def _stubs_of(self, model: str) -> set[int]:
        return {pid for pid, each in self._server.stubs().items() if each == model}

    def _restart(self, reason: str) -> None:
        """Start the server again on the same ports, with longer and longer pauses in between."""
        started, pause_s = time.monotonic(), 0.5
        while True:
            self._server.kill()
            try:
                self._server.start(self._startup_timeout_s)
                self._expected = self._expected_stubs()
            except LocalTritonError as error:
                say(f"{reason}; cannot start it again, next try in {pause_s:g} s: {error}")
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                break
        self._short.clear()
        say(f"{reason}; started again in {time.monotonic() - started:.1f} s")

    def _expected_stubs(self) -> dict[str, int]:
        """How many stubs each model has when all is well: instances × versions."""
        index = self._server.control.index()
        versions = Counter(each.model for each in index if each.state == "READY")
        configs = {model: self._server.control.config(model) for model in self._server.models}
        return {
            model: versions[model] * _instances(config)
            for model, config in configs.items()
            if "ensemble_scheduling" not in config
        }


def _instances(config: dict[str, Json]) -> int:
    return sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
