"""Runs one piece of work in a process of its own, and measures it there."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Measured:
    """What a piece of work cost.

    Attributes:
        result: what it returned.
        wall_s: wall time.
        cpu_s: user and system time of all threads.
        peak_bytes: highest resident memory above that before it began; mapped files count.
    """

    result: Any
    wall_s: float
    cpu_s: float
    peak_bytes: int


def in_child_process(work: Callable[..., Any], *arguments: object) -> Any:
    """Call a module's function in a new process, and return what it returns."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], Any]) -> Measured:
    """Do a piece of work in this process, and measure it."""
    before = resident_bytes("VmRSS")
    _CLEAR_REFS.write_text(_RESET_PEAK)
    wall, cpu = time.perf_counter(), cpu_seconds()
    result = work()
    return Measured(
        result,
        time.perf_counter() - wall,
        cpu_seconds() - cpu,
        resident_bytes("VmHWM") - before,
    )


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes(field: str) -> int:
    """A field of /proc/self/status: VmRSS (all), RssAnon (without mapped files), VmHWM (peak)."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{_STATUS} has no field {field}.")
