"""Fit ``descriptor_calibration.json`` to real descriptors, and compare generated ones with them.

    python -m benchmarks.calibrate_descriptors INDEX=DATASET … --model-repository FOLDER

Each INDEX is an index of the folder DATASET. The dataset's ground truth gives the similarity of a
customer's photo and the item's images. Some images are compressed again, as near-duplicates.

The fit chooses decay and share of the factors so that the principal axes of one half of the images
explain the same share of the other half as with real descriptors. It finds the other shares by
bisection, so that the medians of these cosines equal the real ones:

- of an image and its nearest (product) and seventh nearest (family) in a database of equal size,
- of a photo and the item's images,
- of an image and the same image compressed again.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.descriptor_generator import CALIBRATION_FILE, Calibration, DescriptorGenerator
from export.ground_truth.database import IndexDatabase
from export.ground_truth.queries import read_ground_truth
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import decode_image

CHANNELS, PROBABILITIES = 48, 33
RECOMPRESSED = 150  # images that are compressed again
QUALITY, SCALE = 60, 0.8  # of a compressed image
EXPLAINED_AXES = (16, 64, 256)
DECAYS = (1.0, 1.3, 1.6, 1.9)
FACTOR_SHARES = (0.8, 0.87, 0.92, 0.96)
SHARES = ("decay", "factor_share", "family", "product", "photo", "duplicate")

FloatArray = NDArray[np.float32]


@dataclass
class Observed:
    """Real descriptors of one backbone, and cosines of pairs.

    Attributes:
        database: (N, C) descriptors of the database images.
        photo: cosines of photos and the images of their items.
        duplicate: cosines of images and the same images compressed again.
    """

    database: FloatArray
    photo: NDArray[np.float64]
    duplicate: NDArray[np.float64]


async def observe(index: Path, dataset: Path, repository: Path) -> list[Observed]:
    """Observe one dataset.

    Args:
        index: the index of the dataset.
        dataset: the folder with the images and the ground truth.
        repository: the model repository.

    Returns:
        The observations by backbone.
    """
    bundle = open_index(index)
    engine = create_engine(
        "embedded", repository, bundle.profile.name, workers=1, threads_per_image=2
    )
    truth = read_ground_truth(dataset, IndexDatabase(bundle)).by_image()
    database = [np.array(matrix, dtype=np.float32) for matrix in bundle.descriptors]
    photos = [await _described(engine, bundle, query.image.read_bytes()) for query in truth]
    duplicates = [
        await _described(engine, bundle, _recompressed(dataset / bundle.product(row).image))
        for row in range(min(RECOMPRESSED, len(bundle)))
    ]
    await engine.close()
    relevant = [sorted(bundle.row_of(i) or 0 for i in query.relevant) for query in truth]
    observed = []
    for backbone, matrix in enumerate(database):
        photo_cosines = [
            float(matrix[row] @ photo[backbone])
            for photo, rows in zip(photos, relevant, strict=True)
            for row in rows
        ]
        duplicate_cosines = [
            float(matrix[row] @ duplicate[backbone]) for row, duplicate in enumerate(duplicates)
        ]
        observed.append(Observed(matrix, np.array(photo_cosines), np.array(duplicate_cosines)))
    return observed


async def _described(engine: Engine, bundle: IndexBundle, encoded: bytes) -> list[FloatArray]:
    pixels = decode_image(encoded, bundle.profile.side)
    descriptors = await engine.infer(bundle.profile.name, pixels[None])
    return [descriptors[model][0] for model in bundle.profile.models]


def _recompressed(path: Path) -> bytes:
    with Image.open(path) as image:
        size = tuple(max(1, round(SCALE * side)) for side in image.size)
        buffer = io.BytesIO()
        image.convert("RGB").resize(size).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def statistics(database: list[FloatArray]) -> dict[str, Any]:
    """The statistics that compare real and generated databases.

    Args:
        database: (N, C) descriptors by backbone, rows in random order.
    """
    random = np.random.default_rng(0)
    left, right = random.integers(0, len(database[0]), (2, 40_000))
    left, right = left[left != right], right[left != right]
    cosines = [np.einsum("ij,ij->i", matrix[left], matrix[right]) for matrix in database]
    half = len(database[0]) // 2
    joint = np.concatenate(database, axis=1)
    fitted, held = joint[:half], joint[half:] - joint[:half].mean(axis=0)
    _, _, axes = np.linalg.svd(fitted - fitted.mean(axis=0), full_matrices=False)
    energy = ((held @ axes.T) ** 2).sum(axis=0) / (held**2).sum()
    return {
        "zeros": [round(float((matrix == 0).mean()), 3) for matrix in database],
        "random_pairs": [np.quantile(c, (0.5, 0.99, 0.999)).round(3).tolist() for c in cosines],
        "correlation": round(float(np.corrcoef(*cosines)[0, 1]), 3),
        "explained": [round(float(energy[:count].sum()), 3) for count in EXPLAINED_AXES],
    }


def neighbour_medians(database: list[FloatArray]) -> dict[str, float]:
    """Median cosine of an image and its nearest and its seventh nearest, mean of the backbones."""
    medians = []
    for matrix in database:
        cosines = np.sort(matrix @ matrix.T, axis=1)
        medians.append((np.median(cosines[:, -2]), np.median(cosines[:, -8])))
    nearest, seventh = np.mean(medians, axis=0)
    return {"nearest": round(float(nearest), 4), "seventh": round(float(seventh), 4)}


def query_median(calibration: Calibration, dimensions: list[int], kind: str) -> float:
    """Median cosine of generated queries and a row of their product, mean of the backbones."""
    generator = DescriptorGenerator(4000, dimensions, calibration)
    rows, queries = generator.rows_of_queries(kind, 300), generator.queries(kind, 300)
    medians = [
        np.median(np.einsum("ij,ij->i", matrix[rows], query))
        for matrix, query in zip(generator.descriptors(0, 4000), queries, strict=True)
    ]
    return float(np.mean(medians))


def bisected(excess: Callable[[float], float], high: float) -> float:
    """The root of an increasing function between 0 and ``high``, by bisection."""
    low = 0.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return round((low + high) / 2, 4)


def calibrate(observed: list[Observed]) -> tuple[Calibration, dict[str, Any]]:
    """Fit a calibration.

    Returns:
        The calibration, and the statistics of the real and of the generated descriptors.
    """
    random = np.random.default_rng(0)
    probabilities = np.linspace(0, 1, PROBABILITIES)
    quantiles = tuple(
        np.quantile(
            backbone.database[:, random.permutation(backbone.database.shape[1])[:CHANNELS]],
            probabilities,
            axis=0,
        )
        .T.round(4)
        .astype(np.float64)
        for backbone in observed
    )
    dimensions = [backbone.database.shape[1] for backbone in observed]
    database = [backbone.database for backbone in observed]
    order = random.permutation(len(database[0]))
    real = statistics([matrix[order] for matrix in database])
    target = {
        kind: float(np.mean([np.median(getattr(backbone, kind)) for backbone in observed]))
        for kind in ("photo", "duplicate")
    }
    target |= neighbour_medians(database)
    rows = len(order)

    def generated(calibration: Calibration) -> list[FloatArray]:
        return DescriptorGenerator(rows, dimensions, calibration).descriptors(0, rows)

    def explained_gap(calibration: Calibration) -> float:
        return math.dist(statistics(generated(calibration))["explained"], real["explained"])

    fit = Calibration(quantiles, 1.0, 0.8, 0.75, 0.12, 0.5, 0.95)
    spectra = itertools.product(DECAYS, FACTOR_SHARES)
    fit = min((replace(fit, decay=d, factor_share=s) for d, s in spectra), key=explained_gap)
    fit = _with_neighbour_shares(fit, generated, target)
    for kind in ("photo", "duplicate"):

        def excess(value: float, kind: str = kind, fit: Calibration = fit) -> float:
            return query_median(replace(fit, **{kind: value}), dimensions, kind) - target[kind]

        fit = replace(fit, **{kind: bisected(excess, 1.0)})
    generated_statistics = statistics(generated(fit))
    generated_statistics["cosines"] = neighbour_medians(generated(fit)) | {
        kind: round(query_median(fit, dimensions, kind), 4) for kind in ("photo", "duplicate")
    }
    real["cosines"] = {kind: round(median, 4) for kind, median in target.items()}
    return fit, {"real": real, "generated": generated_statistics, "images": rows}


def _with_neighbour_shares(
    fit: Calibration,
    generated: Callable[[Calibration], list[FloatArray]],
    target: dict[str, float],
) -> Calibration:
    """A calibration with the shares of family and product that give the neighbours' cosines."""
    for name, kind, other in 2 * (
        ("family", "seventh", "product"),
        ("product", "nearest", "family"),
    ):

        def excess(
            value: float, name: str = name, kind: str = kind, fit: Calibration = fit
        ) -> float:
            medians = neighbour_medians(generated(replace(fit, **{name: value})))
            return medians[kind] - target[kind]

        fit = replace(fit, **{name: bisected(excess, 0.99 - getattr(fit, other))})
    return fit


def main() -> None:
    """Calibrate and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="+", metavar="INDEX=DATASET")
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    datasets = []
    for pair in arguments.pairs:
        index, _, dataset = pair.partition("=")
        datasets.append(
            asyncio.run(observe(Path(index), Path(dataset), arguments.model_repository))
        )
    observed = [
        Observed(
            *(
                np.concatenate(field)
                for field in zip(*(vars(o).values() for o in by_dataset), strict=True)
            )
        )
        for by_dataset in zip(*datasets, strict=True)
    ]
    calibration, comparison = calibrate(observed)
    data = {
        "provenance": {
            "command": "python -m benchmarks.calibrate_descriptors SAMPLE_INDEX=SAMPLE "
            "DEV_INDEX=../shared/data/dev_set (profile lite, see RESULTS.md)",
            "shares": "see descriptor_generator.Calibration",
        },
        "shares": list(SHARES),
        **{name: getattr(calibration, name) for name in SHARES},
        "comparison": comparison,
        "quantiles": [quantiles.tolist() for quantiles in calibration.quantiles],
    }
    text = json.dumps(data)
    CALIBRATION_FILE.write_text(
        text.replace("], [", "],\n[").replace('"quantiles"', '\n"quantiles"') + "\n"
    )
    sys.stdout.write(json.dumps(comparison, indent=1) + "\n")


if __name__ == "__main__":
    main()
