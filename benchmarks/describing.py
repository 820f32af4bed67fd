"""Compare OpenVINO in bfloat16 with onnxruntime in float32, both in this process.

The second part of ``make bench-serving``. For each profile that is exported, it describes the same
images of a catalogue by the engines ``embedded`` and ``openvino`` in turn, with a worker of one
thread for each core. The images are decoded before. It prints images a second, and how far the
descriptors of the two engines are from each other. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from export.dataset.catalogue import read_catalogue
from export.models.profiles import LITE, PAPER
from retrieval_server.cores import available_cores
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from retrieval_server.models.profile import Profile
from retrieval_server.models.reader import is_exported

ENGINES = ("embedded", "openvino")
IMAGES = {LITE.name: 64, PAPER.name: 16}  # in a round
ROUNDS = 7


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/demo/sample"))
    options = parser.parse_args()
    catalogue = read_catalogue(options.catalogue)
    paths = [catalogue.image_path(row) for row in catalogue.rows]
    measured = {
        profile.name: asyncio.run(_measure(options.model_repository, profile, paths))
        for profile in (LITE, PAPER)
        if is_exported(profile, ModelRepository(options.model_repository))
    }
    _print(measured)
    if PAPER.name not in measured:
        print("For profile paper: beauty-export onnx --profile paper (or with --random-seed 0)")
    print(json.dumps(measured))


async def _measure(repository: Path, profile: Profile, paths: list[Path]) -> dict[str, Any]:
    step = max(1, len(paths) // IMAGES[profile.name])  # from the whole catalogue
    chosen = paths[::step][: IMAGES[profile.name]]
    images = np.stack([read_image(path, profile.side) for path in chosen])
    engines = {
        name: create_engine(
            name, repository, profile.name, workers=available_cores(), threads_per_image=1
        )
        for name in ENGINES
    }
    described = {name: await engine.infer(profile.name, images) for name, engine in engines.items()}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    cpu: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            await engine.infer(profile.name, images)
            seconds[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - cpu_started)
    for engine in engines.values():
        await engine.close()
    return {
        "images": len(images),
        "images_a_second": {n: round(len(images) / median(s), 2) for n, s in seconds.items()},
        "cpu_ms_an_image": {n: round(median(s) / len(images) * 1e3, 1) for n, s in cpu.items()},
        "cosines": {
            model: _cosines(*(described[name][model] for name in ENGINES))
            for model in profile.models
        },
    }


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> dict[str, float]:
    cosines = (left.astype(np.float64) * right).sum(axis=1)
    return {
        "least": round(float(cosines.min()), 5),
        "median": round(float(np.median(cosines)), 5),
    }


def _print(measured: dict[str, Any]) -> None:
    console = Console(width=100)
    rates = Table(title="Describing images that are decoded (ratio to embedded)")
    for column in ("profile", "engine", "images/s", "CPU ms an image"):
        rates.add_column(column, justify="left" if column in {"profile", "engine"} else "right")
    cosines = Table(title="Descriptors of openvino against embedded, cosines")
    for column in ("model", "least", "median"):
        cosines.add_column(column, justify="left" if column == "model" else "right")
    for profile, result in measured.items():
        for engine in ENGINES:
            cells = [
                f"{result[key][engine]:.1f} ({result[key][engine] / result[key]['embedded']:.2f})"
                for key in ("images_a_second", "cpu_ms_an_image")
            ]
            rates.add_row(profile, engine, *cells)
        for model, found in result["cosines"].items():
            cosines.add_row(model, f"{found['least']:.5f}", f"{found['median']:.5f}")
    console.print(rates, cosines)


if __name__ == "__main__":
    main()
