"""Writes a textual index worked out by hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.text.neighbours import COSINE_SCALE


def write_text_index(
    folder: Path,
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    cosines: NDArray[np.float64],
) -> None:
    """Write the three files as they are given, even if they contradict each other."""
    quantised = np.rint(np.clip(cosines, 0, 1) * COSINE_SCALE)
    np.save(folder / "text_neighbours.indptr.npy", indptr.astype(np.int64))
    np.save(folder / "text_neighbours.rows.npy", rows.astype(np.int32))
    np.save(folder / "text_neighbours.cosines.npy", quantised.astype(np.uint16))
