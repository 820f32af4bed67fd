"""What every engine refuses before it does any work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import EngineError


def check_request(served: str, side: int, ensemble: str, images: NDArray[np.uint8]) -> None:
    """Refuse another ensemble than the one served, and images of another shape or type.

    Args:
        served: the ensemble that the engine was opened for.
        side: S, height and width in pixels of its images.
        ensemble: the one that is asked for.
        images: should be (B, S, S, 3) uint8.

    Raises:
        EngineError: naming what is wanted and what was given.
    """
    if ensemble != served:
        raise EngineError(f"This engine serves {served!r}, not {ensemble!r}.")
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise EngineError(
            f"{ensemble} takes uint8 images (B, {side}, {side}, 3), got {images.dtype} "
            f"{images.shape}."
        )
