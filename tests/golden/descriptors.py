"""Writes `lite.json`: `python -m tests.golden.descriptors`, which `make golden` runs."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

from export.models.profiles import LITE
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.models.preprocessing import read_image

FILE = Path(__file__).with_name("lite.json")
COMMAND = "make golden"
VALUES = 8
TOLERANCE = 1e-4
WHY = (
    "the parity check's bound for onnxruntime against PyTorch; a shift of the normalised input by "
    "0.01 moves the first values by 4e-4 to 8e-4"
)
PACKAGES = ("timm", "torch", "onnxruntime", "pillow")


def photos() -> dict[str, Path]:
    """Find the photos by name; they are part of pip packages."""
    sklearn_images = Path(sklearn.datasets.__file__).parent / "images"
    matplotlib_images = Path(matplotlib.get_data_path()) / "sample_data"
    return {
        "scikit-learn/flower.jpg": sklearn_images / "flower.jpg",
        "scikit-learn/china.jpg": sklearn_images / "china.jpg",
        "matplotlib/grace_hopper.jpg": matplotlib_images / "grace_hopper.jpg",
    }


def images() -> dict[str, NDArray[np.uint8]]:
    """Decode and preprocess the photos, (S, S, 3) uint8 by name."""
    return {name: read_image(path, LITE.side) for name, path in photos().items()}


def describe(repository: Path) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Describe the photos with the embedded engine.

    Args:
        repository: a model repository with profile `lite`.

    Returns:
        (C,) float32 by model name, by photo.
    """
    batch = np.stack([*images().values()])

    async def infer() -> dict[str, NDArray[np.float32]]:
        engine = create_engine("embedded", repository, LITE.name, workers=1, threads_per_image=1)
        try:
            return await engine.infer(LITE.name, batch)
        finally:
            await engine.close()

    described = asyncio.run(infer())
    return {
        photo: {model: rows[position] for model, rows in described.items()}
        for position, photo in enumerate(photos())
    }


def golden(repository: Path) -> dict[str, Any]:
    """Compute what `lite.json` holds.

    Args:
        repository: a model repository with profile `lite`.
    """
    described = describe(repository)
    return {
        "command": COMMAND,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "tolerance": TOLERANCE,
        "why_this_tolerance": WHY,
        "photos": {
            photo: {
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "first_values": {
                    model: [round(float(value), 7) for value in descriptor[:VALUES]]
                    for model, descriptor in described[photo].items()
                },
                "largest": {
                    model: {
                        "position": int(descriptor.argmax()),
                        "value": round(float(descriptor.max()), 7),
                    }
                    for model, descriptor in described[photo].items()
                },
            }
            for photo, pixels in images().items()
        },
    }


if __name__ == "__main__":
    text = json.dumps(golden(Path("model_repository")), indent=2)
    FILE.write_text(text + "\n", encoding="utf-8")
