"""How the search's loops are compiled.

Every compiled function stands in one file with all compiled functions and intrinsics it calls:
numba's cache on disk notices a change of a function's own file, but not of another's. Where neither
the package's folder nor the user's cache can be written, each process compiles for itself;
NUMBA_CACHE_DIR names a place that can.
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
    except RuntimeError:  # "no locator available": there is no place for a cache
        return njit(**options)(function)
