"""Synthetic images, to calibrate random networks and to compare exports with PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def probe_images(side: int, count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Draw images with structure at many scales, as photographs have, and objects on plain ground.

    Args:
        side: height and width in pixels.
        count: how many.
        seed: same seed, same images.

    Returns:
        (count, side, side, 3) uint8 RGB.
    """
    return np.stack([_image(side, np.random.default_rng((seed, index))) for index in range(count)])


def _image(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = _texture(side, rng)
    rows, columns = np.mgrid[:side, :side] / side
    for _ in range(int(rng.integers(1, 5))):
        row, column = rng.uniform(0.1, 0.9, 2)
        height, width = rng.uniform(0.05, 0.4, 2)
        inside = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1
        image[inside] = 0.3 * image[inside] + 0.7 * _texture(side, rng)[inside]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _texture(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sum noise of growing fineness over a plain colour, (side, side, 3) in 0..255."""
    image = np.full((side, side, 3), rng.uniform(0, 255, 3))
    for exponent in range(2, 8):
        cells = 2**exponent
        noise = rng.normal(0, 90 / exponent**1.5, (cells, cells, 3)) * rng.uniform(0, 1)
        layers = [
            Image.fromarray(noise[:, :, channel].astype(np.float32)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
            for channel in range(3)
        ]
        image += np.stack([np.asarray(layer) for layer in layers], axis=2)
    return image
