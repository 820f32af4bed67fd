"""The reference image: verifies that an engine computes the descriptors an index was built with.

The digest of a file identifies the model in the repository, not the model that an engine runs:
Triton may run another version, or the same one at half precision. So every index holds the
descriptors of one fixed image. Before a server answers, it compares the engine's descriptors of
this image with those of the index. Index format 4 calls the files ``canary``.

======================  =======  ==================================================
file                    dtype    content
======================  =======  ==================================================
``canary.<model>.npy``  float32  (C,), the model's descriptor of ``reference_image``
======================  =======  ==================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import ModelMismatchError
from retrieval_server.storage.arrays import open_array

MIN_COSINE = 0.99999  # `lite`, distance to float64: float32 below 1e-7, float16 1e-4 and 2e-4


def reference_image(side: int) -> NDArray[np.uint8]:
    """Draw the reference image: a gradient with a disc, in integer arithmetic.

    Args:
        side: height and width in pixels.

    Returns:
        (side, side, 3) uint8 RGB, the same on every machine.
    """
    rows, columns = np.mgrid[:side, :side]
    red, green = 255 * columns // side, 255 * rows // side
    blue = 255 - (red + green) // 2
    image = np.stack([red, green, blue], axis=2).astype(np.uint8)
    in_disc = (3 * rows - side) ** 2 + (3 * columns - 2 * side) ** 2 < (side * side) // 2
    image[in_disc] = (235, 240, 30)
    return image


def write_reference(folder: Path, described: Mapping[str, NDArray[np.float32]]) -> None:
    """Write descriptors of the reference image to an index; overwrites.

    Args:
        folder: folder of the bundle.
        described: (1, C) float32 by model name.
    """
    for model, descriptors in described.items():
        np.save(folder / reference_file(model), descriptors[0].astype("<f4"))


def open_reference(folder: Path, models: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Open the descriptors of the reference image in an index.

    Returns:
        (C,) float32 by model name.

    Raises:
        IndexBundleError: if a file is missing or damaged.
    """
    return {model: open_array(folder / reference_file(model), np.float32, 1) for model in models}


def check_reference(
    index: str,
    indexed: Mapping[str, NDArray[np.float32]],
    served: Mapping[str, NDArray[np.float32]],
) -> None:
    """Compare an engine's descriptors of the reference image with those of an index.

    Args:
        index: where the version is, for the message.
        indexed: (C,) float32 by model name, from the index.
        served: (1, C) float32 by model name, from the engine.

    Raises:
        ModelMismatchError: naming the model and the difference.
    """
    for model, descriptor in indexed.items():
        expected, actual = descriptor.astype(np.float64), served[model][0].astype(np.float64)
        if actual.shape != expected.shape or not _is_close(actual, expected):
            raise ModelMismatchError(
                f"The engine's {model} does not compute the descriptors that index {index} was "
                f"built with: on the reference image {_difference(actual, expected)}. Serve the "
                "model and the precision it was built with, or build the index again with: "
                "beauty-export index"
            )


def reference_file(model: str) -> str:
    """Name of the file with a model's descriptor of the reference image."""
    return f"canary.{model}.npy"


def _is_close(actual: NDArray[np.float64], expected: NDArray[np.float64]) -> bool:
    return np.array_equal(actual, expected) or float(actual @ expected) >= MIN_COSINE


def _difference(actual: NDArray[np.float64], expected: NDArray[np.float64]) -> str:
    if actual.shape != expected.shape:
        return f"it gives {actual.size} values instead of {expected.size}"
    return f"their cosine is {actual @ expected:.6f}, at least {MIN_COSINE} is needed"
