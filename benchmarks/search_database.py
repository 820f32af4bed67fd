"""The database of ``search``: descriptors and levels on disk, built once and reused."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from benchmarks.child_process import cpu_seconds
from benchmarks.descriptor_generator import (
    CALIBRATION_FILE,
    DATABASES,
    FIRST,
    KINDS,
    DescriptorGenerator,
    calibration_of,
)
from export.index.search_levels import build_search_levels
from export.progress import progress
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.fused_bound import FusedBound
from retrieval_server.exact_search.levels.encoding import Levels
from retrieval_server.exact_search.levels.files import open_levels
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.open_search import open_search
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from retrieval_server.index.manifest import FORMAT_VERSION
from retrieval_server.storage.arrays import release_pages
from retrieval_server.storage.digest import file_digest

ROOT = Path("build/bench-search")  # has one folder for each size
MODELS = {"densenet201_grmac": 1920, "seresnet152_grmac": 2048}  # profile paper
ALPHAS = {"densenet201_grmac": 3.0, "seresnet152_grmac": 1.0}
ALPHA = tuple(ALPHAS.values())
TOP_K = 7
BUILD_FIGURES = ["seconds", "cpu_seconds", "peak_gb"]  # of the build of the levels
_CHUNK_ROWS = 4096
_READ_ROWS = 8192
_WEIGHTS = FusedBound(ALPHA, (True,) * len(ALPHA)).weights
_DESCRIBED_FILE = "descriptors.json"  # written when the descriptors are complete
_RECORD_FILE = "database.json"  # written last

Query = list[NDArray[np.float32]]
Queries = dict[str, list[Query]]


@dataclass(frozen=True)
class SearchDatabase:
    """A database on disk.

    Attributes:
        folder: folder of the database.
        rows: N.
        build: the ``BUILD_FIGURES``.
        record: the fit of the levels.
        generator: the generator of this database, for queries.
    """

    folder: Path
    rows: int
    build: dict[str, float]
    record: SearchRecord
    generator: DescriptorGenerator

    def descriptors(self) -> tuple[NDArray[Any], ...]:
        """The descriptors, (N, C) float32 by backbone, memory-mapped."""
        return tuple(open_descriptors(self.folder, model) for model in MODELS)

    def levels(self) -> Levels:
        """The levels of the exact search, memory-mapped."""
        return open_levels(self.folder, self.record, list(MODELS.values()), self.rows)


def database_folder(
    root: Path,
    rows: int,
    images: int | None = None,
    name: str = FIRST,
    dtype: DTypeLike = np.float32,
) -> Path:
    """The folder of a database; see ``prepare_database``."""
    parts = [f"{rows}"]
    parts += [f"images-{images}"] if images is not None else []
    parts += [name] if name != FIRST else []
    parts += [np.dtype(dtype).name] if np.dtype(dtype) != np.float32 else []
    return root / "-".join(parts)


def prepare_database(
    root: Path,
    rows: int,
    images: int | None = None,
    name: str = FIRST,
    dtype: DTypeLike = np.float32,
) -> SearchDatabase:
    """Open a database, or build it if it is missing or of another calibration or format.

    Complete descriptors of the same calibration are not written again.

    Args:
        root: folder with one folder for each database.
        rows: N.
        images: number of images of each product; None for a random number, 2.2 on average.
        name: one of ``DATABASES``.
        dtype: of the descriptors, float32 or float16.
    """
    folder = database_folder(root, rows, images, name, dtype)
    generator = DescriptorGenerator(rows, list(MODELS.values()), calibration_of(name), images)
    file = folder / _RECORD_FILE
    if not is_current(folder, name):
        described = folder / _DESCRIBED_FILE
        if not _says(described, _distribution(name)):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_descriptors(folder, generator, np.dtype(dtype))
            described.write_text(json.dumps(_distribution(name)))
        _remove_what_depends_on_levels(folder)
        file.write_text(json.dumps(made_by(name) | _build_levels(folder)))
    data = json.loads(file.read_text())
    record = SearchRecord.from_json(data["record"])
    return SearchDatabase(folder, rows, data["build"], record, generator)


def is_current(folder: Path, name: str) -> bool:
    """Whether a folder has the whole database of a name, of this calibration and format."""
    return _says(folder / _RECORD_FILE, made_by(name))


def made_by(name: str) -> dict[str, Any]:
    """What the database of a name depends on."""
    return _distribution(name) | {"format": FORMAT_VERSION, "recorded": BUILD_FIGURES}


def _distribution(name: str) -> dict[str, Any]:
    return {"calibration": file_digest(CALIBRATION_FILE), "changes": DATABASES[name]}


def _says(file: Path, expected: dict[str, Any]) -> bool:
    return file.is_file() and expected.items() <= json.loads(file.read_text()).items()


def _remove_what_depends_on_levels(folder: Path) -> None:
    """Remove the results and the index of former levels; a graph of descriptors remains."""
    for result in folder.glob("result.*.json"):
        result.unlink()
    shutil.rmtree(folder / "index", ignore_errors=True)


def _build_levels(folder: Path) -> dict[str, Any]:
    started, started_cpu_s = time.perf_counter(), cpu_seconds()
    levels = build_search_levels(folder, ALPHAS)
    if levels is None:
        raise SystemExit("So few products need no levels. Choose a larger number: --rows")
    build = {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu_seconds() - started_cpu_s, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    return {"build": build, "record": levels.to_json()}


def write_descriptors(folder: Path, generator: DescriptorGenerator, dtype: np.dtype[Any]) -> None:
    """Write the files of the descriptors; copies have the bits of their sources."""
    rows = generator.rows
    arrays = [
        create_descriptors(folder, model, rows, size, dtype.str) for model, size in MODELS.items()
    ]

    def write(first: int) -> None:
        last = min(first + _CHUNK_ROWS, rows)
        for array, chunk in zip(arrays, generator.descriptors(first, last), strict=True):
            array[first:last] = chunk
            release_pages(array)
        advance(last - first)

    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(2) as executor,
        progress("descriptors", rows) as advance,
    ):
        list(executor.map(write, range(0, rows, _CHUNK_ROWS)))
    copies, sources = generator.copies()
    for first in range(0, len(copies), _CHUNK_ROWS):
        some = slice(first, first + _CHUNK_ROWS)
        for array in arrays:
            array[copies[some]] = array[sources[some]]
            release_pages(array)


def queries_of(database: SearchDatabase, count: int) -> Queries:
    """Queries by kind, ``count`` of each; a query is a list of one descriptor per backbone."""
    queries = {}
    for kind in KINDS:
        matrices = database.generator.queries(kind, count)
        queries[kind] = [[matrix[query] for matrix in matrices] for query in range(count)]
    return queries


def concatenated(query: Query) -> NDArray[np.float32]:
    """The query [w_n q_n]: the weighted descriptors of all backbones, concatenated."""
    weighted = [weight * vector for weight, vector in zip(_WEIGHTS, query, strict=True)]
    return np.concatenate(weighted).astype(np.float32)


def chunks(database: SearchDatabase, name: str) -> Iterator[NDArray[np.float32]]:
    """The concatenated descriptors in chunks of rows, with a progress bar of the given name."""
    matrices = database.descriptors()
    with progress(name, database.rows) as advance:
        for first in range(0, database.rows, _READ_ROWS):
            last = first + _READ_ROWS
            chunk = np.concatenate([matrix[first:last] for matrix in matrices], axis=1)
            yield chunk
            for matrix in matrices:
                release_pages(matrix)
            advance(len(chunk))


def open_cascade(
    database: SearchDatabase, parallelism: IntraQueryParallelism | None = None
) -> CascadeSearch:
    """Open the search of a large database."""
    search = open_search(database.descriptors(), database.levels(), parallelism=parallelism)
    assert isinstance(search, CascadeSearch)
    return search


def fused_in_float32(database: SearchDatabase, queries: list[Query]) -> NDArray[np.float32]:
    """Eq. (8) of every row for each query, (Q, N), computed in float32."""
    matrices = database.descriptors()
    fused = np.empty((len(queries), database.rows), np.float32)
    stacked = [np.stack([query[n] for query in queries]) for n in range(len(matrices))]
    for first in range(0, database.rows, 8192):
        rows = slice(first, first + 8192)
        block = np.float32(1)
        for matrix, vectors, alpha in zip(matrices, stacked, ALPHA, strict=True):
            block = block * (1 + np.float32(alpha) * (vectors @ matrix[rows].T))
        fused[:, rows] = block
    return fused
