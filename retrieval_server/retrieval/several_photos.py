"""One query from several photos of the same thing: the mean of their unit descriptors.

No photo counts more than another, and their order does not matter, not even to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.retrieval.search_request import QueryDescriptors

MAX_PHOTOS = 8  # of one search


def mean_query(photos: Sequence[QueryDescriptors]) -> QueryDescriptors:
    """Combine the descriptors of photos.

    Args:
        photos: one or more; each has one (C_n,) float32 for each backbone, of unit norm or zero.

    Returns:
        For each backbone the mean of the photos' descriptors, normalised; zero if the mean is. A
        single photo's descriptors are returned as they are.
    """
    if len(photos) == 1:
        return photos[0]
    return tuple(_mean(np.stack(descriptors)) for descriptors in zip(*photos, strict=True))


def _mean(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised mean of (P, C) descriptors, (C,)."""
    ordered = np.sort(descriptors.astype(np.float64), axis=0)  # one order of summation
    total = ordered.sum(axis=0)
    norm = float(np.linalg.norm(total))
    mean: NDArray[np.float32] = (total / norm if norm else total).astype(np.float32)
    return mean
