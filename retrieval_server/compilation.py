"""How loops are compiled by numba: to run without the interpreter's lock, and kept on disk.

Where neither the package's folder nor the user's cache can be written, each process compiles for
itself; NUMBA_CACHE_DIR names a folder that can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use, to run without the interpreter's lock."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available": there is no folder for a cache
        return njit(**options)(function)
