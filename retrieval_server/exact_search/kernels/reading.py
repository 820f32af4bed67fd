"""Reading bytes of a file within a compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from retrieval_server.exact_search.kernels.compilation import inlined

_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.int32, types.uintp, types.intp, types.int64)
)


@inlined
def read_fully(file: int, start: int, size: int, place: int) -> bool:
    """Read bytes of a file to an address; False if the file ends before, or the disk fails.

    Args:
        file: the open file.
        start: the address.
        size: number of bytes.
        place: of the first byte in the file.
    """
    done = 0
    while done < size:  # a signal may cut a read short
        got = _pread(file, np.uintp(start + done), size - done, place + done)
        if got <= 0:
            break
        done += got
    return done == size
