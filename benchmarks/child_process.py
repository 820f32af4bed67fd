"""Runs a function in a child process, and measures its time and memory."""

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
    """Result, time and memory of a function call.

    Attributes:
        result: the value that the function returned.
        wall_s: wall time.
        cpu_s: user and system time of all threads.
        peak_bytes: peak of the resident memory, above the resident memory before the call; mapped
            files count.
    """

    result: Any
    wall_s: float
    cpu_s: float
    peak_bytes: int


def in_child_process(work: Callable[..., Any], *arguments: object) -> Any:
    """Call a module's function in a new process, and return its result."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], Any]) -> Measured:
    """Call a function in this process, and measure it."""
    start_bytes = resident_bytes("VmRSS")
    _CLEAR_REFS.write_text(_RESET_PEAK)
    start_wall_s, start_cpu_s = time.perf_counter(), cpu_seconds()
    result = work()
    return Measured(
        result,
        time.perf_counter() - start_wall_s,
        cpu_seconds() - start_cpu_s,
        resident_bytes("VmHWM") - start_bytes,
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
