"""The cores this process may use: how many, and which thread runs on which."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor


def available_cores() -> int:
    """Count the cores this process may use: in a container, fewer than the machine has."""
    return len(allowed_cores()) or os.cpu_count() or 1


def allowed_cores() -> set[int]:
    """Return the cores the calling thread may run on; empty where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def pin_thread(cores: Collection[int]) -> None:
    """Let the calling thread run on these cores only.

    Does nothing for no cores, or if the cores were taken from this process in the meantime.
    """
    if cores:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)


def create_workers(workers: int) -> ThreadPoolExecutor:
    """Start threads for decoding and search, each on a core of its own where there are enough.

    Left to the scheduler, two searches that start at once often share a core for a millisecond or
    two, which is a good part of what they take.

    Args:
        workers: number of threads.
    """
    cores = sorted(allowed_cores())
    started = itertools.count()  # next() on it is atomic

    def pin() -> None:
        if workers <= len(cores):
            pin_thread({cores[next(started) % len(cores)]})

    return ThreadPoolExecutor(workers, thread_name_prefix="search", initializer=pin)
