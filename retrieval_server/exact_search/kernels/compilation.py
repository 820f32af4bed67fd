"""How the search's loops are compiled.

numba keeps compiled code on disk and compiles again when the file of a function changes, but not
when a module changes from which the function takes constants, instructions or inlined functions.
The kernels take all of them from ``SHARED_SOURCES``, so a digest of these files is part of each
compiled function's name. Beside these, a compiled function calls other compiled or inlined
functions of its own file only.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit

from retrieval_server import compilation

_FOLDER = Path(__file__).parent
SHARED_SOURCES = tuple(
    _FOLDER / name
    for name in ("layout.py", "vector_instructions.py", "coarse_lines.py", "reading.py")
)
_DIGEST = sha256(b"".join(path.read_bytes() for path in SHARED_SOURCES)).hexdigest()[:8]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile on first use, to run without the interpreter's lock."""
    function.__qualname__ += f"_{_DIGEST}"
    return compilation.compiled(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile as a part of each compiled function that calls it; for helpers in the same file."""
    return njit(inline="always", error_model="numpy")(function)
