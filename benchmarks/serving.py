"""Compare a Triton with onnxruntime in the server's process.

The first part of ``make bench-serving`` measures both in one run, on the same images and models,
with one thread for each run of a model. It prints:

1. The time for one image, with methods in turn: onnxruntime, Triton by gRPC, and Triton with the
   image and the descriptors in system shared memory. It does so for a profile of one backbone of
   about 20 ms, and for the profile ``lite`` of two backbones.
2. Images a second, and CPU time for each image, when ``beauty-export index`` computes the
   descriptors of a catalogue, decoding included.
3. Triton's statistics of step 2: requests, and images in a batch.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import shared_memory

from benchmarks.local_triton import cpu_seconds, local_triton
from export.dataset.catalogue import Catalogue, read_catalogue
from export.descriptors.extract_features import FeatureExtraction
from export.models.model_configs import ensemble_config, write_config
from export.models.profiles import LITE
from retrieval_server.cores import available_cores
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine, TritonConnection
from retrieval_server.models.model_repository import CONFIG_FILE, ModelRepository
from retrieval_server.models.profile import Profile

ONE = Profile(name="one", side=LITE.side, backbones=LITE.backbones[:1])
ROUNDS = 150  # images, one at a time, for each method
WARM_UP_ROUNDS = 5
BULK_ROUNDS = 5
TIMEOUT_S = 120.0
REGION = "beauty_bench_serving"

Infer = Callable[[NDArray[np.uint8]], Awaitable[Any]]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/demo/sample"))
    parser.add_argument("--work", type=Path, default=Path("build/bench/serving"))
    options = parser.parse_args()
    repository = _with_profile_of_one(options.model_repository, options.work)
    with local_triton(repository, (ONE.name, LITE.name)) as addresses:
        measured = asyncio.run(
            _measure(repository, read_catalogue(options.catalogue), addresses["grpc"])
        )
    _print(measured)
    print(json.dumps(measured))


def _with_profile_of_one(repository: Path, work: Path) -> Path:
    """Copy the profile's models, and add an ensemble that has only the first of them."""
    root = work / "model_repository"
    shutil.rmtree(root, ignore_errors=True)
    for name in (*LITE.models, LITE.name):
        shutil.copytree(repository / name, root / name)
    dimensions = {model.name: model.dimension for model in ModelRepository(root).ensemble("lite")}
    (root / ONE.name / "1").mkdir(parents=True)
    write_config(root / ONE.name / CONFIG_FILE, ensemble_config(ONE, dimensions))
    return root


async def _measure(repository: Path, catalogue: Catalogue, url: str) -> dict[str, Any]:
    results: dict[str, Any] = {}
    images = np.random.default_rng(0).integers(0, 256, (64, LITE.side, LITE.side, 3), np.uint8)
    for profile in (ONE, LITE):
        engines = {
            name: create_engine(
                name,
                repository,
                profile.name,
                workers=available_cores(),
                threads_per_image=1,
                triton=TritonConnection(url=url, timeout_s=TIMEOUT_S),
            )
            for name in ("embedded", "triton")
        }
        result = {"single_ms": await _single(profile, engines, url, images)}
        if profile is LITE:
            start_counts = await _counts(url)
            result["bulk"] = await _bulk(catalogue, engines)
            result["triton_says"] = _difference(start_counts, await _counts(url))
        for engine in engines.values():
            await engine.close()
        results[profile.name] = result
    return results


async def _single(
    profile: Profile, engines: dict[str, Engine], url: str, images: NDArray[np.uint8]
) -> dict[str, dict[str, float]]:
    """Milliseconds for an image by method: median, and 10th percentile (a calm machine)."""

    def infer_with(engine: Engine) -> Infer:
        return lambda image: engine.infer(profile.name, image)

    methods = {name: infer_with(engine) for name, engine in engines.items()}
    times: dict[str, list[float]] = {name: [] for name in (*methods, "shared memory")}
    async with InferenceServerClient(url) as client:
        with _regions(profile, client) as (register, infer_shared):
            await register()
            methods["shared memory"] = infer_shared
            for turn in range(ROUNDS + WARM_UP_ROUNDS):
                image = images[turn % len(images)][None]
                for name, infer in methods.items():
                    started = time.perf_counter()
                    await infer(image)
                    if turn >= WARM_UP_ROUNDS:
                        times[name].append((time.perf_counter() - started) * 1e3)
            await client.unregister_system_shared_memory()
    return {
        name: {
            "median": round(median(values), 2),
            "p10": round(float(np.percentile(values, 10)), 2),
        }
        for name, values in times.items()
    }


@contextmanager
def _regions(
    profile: Profile, client: InferenceServerClient
) -> Iterator[tuple[Callable[[], Awaitable[None]], Infer]]:
    """A shared-memory region for the image and one for each descriptor.

    A server on the same machine as Triton can use such regions.

    Yields:
        A function that registers the regions with Triton, and one that infers through them.
    """
    models = profile.models
    sizes = {"image": profile.side**2 * 3} | dict.fromkeys(models, 4 * 1280)
    handles = {
        name: shared_memory.create_shared_memory_region(f"{REGION}_{name}", f"/{REGION}_{name}", s)
        for name, s in sizes.items()
    }

    async def register() -> None:
        for name, size in sizes.items():
            await client.register_system_shared_memory(
                f"{REGION}_{name}", f"/{REGION}_{name}", size
            )

    async def infer(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        shared_memory.set_shared_memory_region(handles["image"], [image])
        tensor = InferInput("image", image.shape, "UINT8")
        tensor.set_shared_memory(f"{REGION}_image", sizes["image"])
        outputs = [InferRequestedOutput(model) for model in models]
        for output in outputs:
            output.set_shared_memory(f"{REGION}_{output.name()}", sizes[output.name()])
        await client.infer(profile.name, [tensor], outputs=outputs, client_timeout=TIMEOUT_S)
        return [
            shared_memory.get_contents_as_numpy(handles[model], np.float32, [1, 1280]).copy()
            for model in models
        ]

    try:
        yield register, infer
    finally:
        for handle in handles.values():
            shared_memory.destroy_shared_memory_region(handle)


async def _bulk(catalogue: Catalogue, engines: dict[str, Engine]) -> dict[str, dict[str, float]]:
    """Images a second and CPU milliseconds per image by engine; medians over alternating rounds."""
    rates: dict[str, list[float]] = {name: [] for name in engines}
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(BULK_ROUNDS):
        for name, engine in engines.items():
            started, start_cpu_s = time.perf_counter(), sum(cpu_seconds().values())
            with tempfile.TemporaryDirectory() as folder:
                extraction = FeatureExtraction(catalogue, LITE, {}, Path(folder) / "blocks")
                await extraction.run(engine, engine.in_flight, lambda rows: None)
            images = len(catalogue.rows)
            rates[name].append(images / (time.perf_counter() - started))
            spent[name].append((sum(cpu_seconds().values()) - start_cpu_s) / images * 1e3)
    return {
        name: {
            "images_a_second": round(median(rates[name]), 1),
            "cpu_ms_an_image": round(median(spent[name]), 1),
        }
        for name in engines
    }


async def _counts(url: str) -> dict[str, dict[str, int]]:
    async with InferenceServerClient(url) as client:
        statistics = await client.get_inference_statistics()
    return {
        model.name: {
            "requests": model.inference_stats.success.count,
            "images": model.inference_count,
            "executions": model.execution_count,
        }
        for model in statistics.model_stats
    }


def _difference(
    start: dict[str, dict[str, int]], end: dict[str, dict[str, int]]
) -> dict[str, dict[str, float]]:
    counts = {
        model: {key: end[model][key] - start[model][key] for key in end[model]}
        for model in (LITE.name, *LITE.models)
    }
    return {
        model: count
        | {"images_in_a_batch": round(count["images"] / max(count["executions"], 1), 2)}
        for model, count in counts.items()
    }


def _print(measured: dict[str, Any]) -> None:
    console = Console(width=100)
    single = Table(title="One image, ms (ratio to onnxruntime in process)")
    for column in ("profile", "method", "median", "calm (10 %)"):
        single.add_column(column, justify="left" if column in {"profile", "method"} else "right")
    for profile, result in measured.items():
        base = result["single_ms"]["embedded"]
        for method, times in result["single_ms"].items():
            cells = [f"{times[k]:.1f} ({times[k] / base[k]:.2f})" for k in ("median", "p10")]
            single.add_row(profile, method, *cells)
    console.print(single)
    bulk = Table(title=f"A catalogue's descriptors, profile {LITE.name} (ratio to in process)")
    for column in ("method", "images/s", "CPU ms an image"):
        bulk.add_column(column, justify="left" if column == "method" else "right")
    rates = measured[LITE.name]["bulk"]
    for method, rate in rates.items():
        cells = [
            f"{rate[k]:.1f} ({rate[k] / rates['embedded'][k]:.2f})"
            for k in ("images_a_second", "cpu_ms_an_image")
        ]
        bulk.add_row(method, *cells)
    console.print(bulk)
    statistics = Table(title="Triton's statistics of the catalogue's descriptors")
    for column in ("model", "requests", "images", "executions", "images in a batch"):
        statistics.add_column(column, justify="left" if column == "model" else "right")
    for model, count in measured[LITE.name]["triton_says"].items():
        statistics.add_row(model, *(str(value) for value in count.values()))
    console.print(statistics)


if __name__ == "__main__":
    main()
