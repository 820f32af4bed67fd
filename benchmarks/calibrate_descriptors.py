"""Fit ``descriptor_calibration.json`` to real descriptors, and show how like them ours are.

    python -m benchmarks.calibrate_descriptors INDEX=DATASET … --model-repository FOLDER

Each INDEX is an index of the folder DATASET, which has ground truth: its queries tell how alike a
customer's photo is to the item's images. Some images are compressed again for the near-duplicates.
Decay and the share of the factors are chosen so that principal axes of half of the images explain
as much of the other half; the other shares by bisection, so that medians of cosines meet the real
ones: of an image and its nearest (product) and seventh nearest (family) in a database of equal
size, of a photo and the item's images, of an image and itself compressed again.
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
from export.dataset.ground_truth import read_ground_truth
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import decode_image

CHANNELS, PROBABILITIES = 48, 33
RECOMPRESSED = 150  # images
QUALITY, SCALE = 60, 0.8
EXPLAINED_AXES = (16, 64, 256)
DECAYS = (1.0, 1.3, 1.6, 1.9)
FACTOR_SHARES = (0.8, 0.87, 0.92, 0.96)
SHARES = ("decay", "factor_share", "family", "product", "photo", "duplicate")

FloatArray = NDArray[np.float32]


@dataclass
class Observed:
    """Real descriptors of one backbone, and cosines of pairs."""

    database: FloatArray
    photo: NDArray[np.float64]
    duplicate: NDArray[np.float64]


async def observe(index: Path, dataset: Path, repository: Path) -> list[Observed]:
    """Look at one dataset, by backbone."""
    bundle = open_index(index)
    engine = create_engine(
        "embedded", repository, bundle.profile.name, workers=1, threads_per_run=2
    )
    truth = read_ground_truth(dataset, bundle)
    database = [np.array(part, dtype=np.float32) for part in bundle.descriptors]
    photos = [await _described(engine, bundle, query.image.read_bytes()) for query in truth]
    again = [
        await _described(engine, bundle, _recompressed(dataset / bundle.product(row).image))
        for row in range(min(RECOMPRESSED, len(bundle)))
    ]
    await engine.close()
    relevant = [sorted(bundle.row_of(i) or 0 for i in query.relevant) for query in truth]
    observed = []
    for number, part in enumerate(database):
        photo = [
            float(part[row] @ p[number])
            for p, rows in zip(photos, relevant, strict=True)
            for row in rows
        ]
        duplicate = [float(part[row] @ vector[number]) for row, vector in enumerate(again)]
        observed.append(Observed(part, np.array(photo), np.array(duplicate)))
    return observed


async def _described(engine: Engine, bundle: IndexBundle, encoded: bytes) -> list[FloatArray]:
    pixels = decode_image(encoded, bundle.profile.side)
    found = await engine.infer(bundle.profile.name, pixels[None])
    return [found[model][0] for model in bundle.profile.models]


def _recompressed(path: Path) -> bytes:
    with Image.open(path) as image:
        size = tuple(max(1, round(SCALE * side)) for side in image.size)
        buffer = io.BytesIO()
        image.convert("RGB").resize(size).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def statistics(database: list[FloatArray]) -> dict[str, Any]:
    """What real and generated databases are compared by; rows in random order."""
    random = np.random.default_rng(0)
    left, right = random.integers(0, len(database[0]), (2, 40_000))
    left, right = left[left != right], right[left != right]
    cosines = [np.einsum("ij,ij->i", part[left], part[right]) for part in database]
    half = len(database[0]) // 2
    joint = np.concatenate(database, axis=1)
    fitted, held = joint[:half], joint[half:] - joint[:half].mean(axis=0)
    _, _, axes = np.linalg.svd(fitted - fitted.mean(axis=0), full_matrices=False)
    energy = ((held @ axes.T) ** 2).sum(axis=0) / (held**2).sum()
    return {
        "zeros": [round(float((part == 0).mean()), 3) for part in database],
        "random_pairs": [np.quantile(c, (0.5, 0.99, 0.999)).round(3).tolist() for c in cosines],
        "correlation": round(float(np.corrcoef(*cosines)[0, 1]), 3),
        "explained": [round(float(energy[:count].sum()), 3) for count in EXPLAINED_AXES],
    }


def neighbour_medians(database: list[FloatArray]) -> dict[str, float]:
    """Median cosine of an image and its nearest and its seventh nearest, mean of the backbones."""
    medians = []
    for part in database:
        cosines = np.sort(part @ part.T, axis=1)
        medians.append((np.median(cosines[:, -2]), np.median(cosines[:, -8])))
    nearest, seventh = np.mean(medians, axis=0)
    return {"nearest": round(float(nearest), 4), "seventh": round(float(seventh), 4)}


def query_median(calibration: Calibration, dimensions: list[int], kind: str) -> float:
    """Median cosine of generated queries and a row of their product, mean of the backbones."""
    generator = DescriptorGenerator(4000, dimensions, calibration)
    rows, queries = generator.rows_of_queries(kind, 300), generator.queries(kind, 300)
    medians = [
        np.median(np.einsum("ij,ij->i", part[rows], query))
        for part, query in zip(generator.descriptors(0, 4000), queries, strict=True)
    ]
    return float(np.mean(medians))


def bisected(excess: Callable[[float], float], high: float) -> float:
    """Where a function that increases from 0 to ``high`` crosses zero."""
    low = 0.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return round((low + high) / 2, 4)


def calibrate(observed: list[Observed]) -> tuple[Calibration, dict[str, Any]]:
    """Fit a calibration; returns it with the real and the generated statistics."""
    random = np.random.default_rng(0)
    probabilities = np.linspace(0, 1, PROBABILITIES)
    quantiles = tuple(
        np.quantile(
            part.database[:, random.permutation(part.database.shape[1])[:CHANNELS]],
            probabilities,
            axis=0,
        )
        .T.round(4)
        .astype(np.float64)
        for part in observed
    )
    dimensions = [part.database.shape[1] for part in observed]
    database = [part.database for part in observed]
    order = random.permutation(len(database[0]))
    real = statistics([part[order] for part in database])
    target = {
        kind: float(np.mean([np.median(getattr(part, kind)) for part in observed]))
        for kind in ("photo", "duplicate")
    }
    target |= neighbour_medians(database)
    rows = len(order)

    def generated(calibration: Calibration) -> list[FloatArray]:
        return DescriptorGenerator(rows, dimensions, calibration).descriptors(0, rows)

    def explained_gap(calibration: Calibration) -> float:
        return math.dist(statistics(generated(calibration))["explained"], real["explained"])

    now = Calibration(quantiles, 1.0, 0.8, 0.75, 0.12, 0.5, 0.95)
    spectra = itertools.product(DECAYS, FACTOR_SHARES)
    now = min((replace(now, decay=d, factor_share=s) for d, s in spectra), key=explained_gap)
    now = _met(now, generated, target)
    for kind in ("photo", "duplicate"):

        def excess(value: float, kind: str = kind, now: Calibration = now) -> float:
            return query_median(replace(now, **{kind: value}), dimensions, kind) - target[kind]

        now = replace(now, **{kind: bisected(excess, 1.0)})
    made = statistics(generated(now))
    made["cosines"] = neighbour_medians(generated(now)) | {
        kind: round(query_median(now, dimensions, kind), 4) for kind in ("photo", "duplicate")
    }
    real["cosines"] = {kind: round(median, 4) for kind, median in target.items()}
    return now, {"real": real, "generated": made, "images": rows}


def _met(
    now: Calibration,
    generated: Callable[[Calibration], list[FloatArray]],
    target: dict[str, float],
) -> Calibration:
    """The shares of family and product that meet the cosines of neighbours."""
    for name, kind, other in 2 * (
        ("family", "seventh", "product"),
        ("product", "nearest", "family"),
    ):

        def excess(
            value: float, name: str = name, kind: str = kind, now: Calibration = now
        ) -> float:
            medians = neighbour_medians(generated(replace(now, **{name: value})))
            return medians[kind] - target[kind]

        now = replace(now, **{name: bisected(excess, 0.99 - getattr(now, other))})
    return now


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
                for field in zip(*(vars(o).values() for o in same), strict=True)
            )
        )
        for same in zip(*datasets, strict=True)
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
        "quantiles": [part.tolist() for part in calibration.quantiles],
    }
    text = json.dumps(data)
    CALIBRATION_FILE.write_text(
        text.replace("], [", "],\n[").replace('"quantiles"', '\n"quantiles"') + "\n"
    )
    sys.stdout.write(json.dumps(comparison, indent=1) + "\n")


if __name__ == "__main__":
    main()
