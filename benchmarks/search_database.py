"""The database of ``search``: descriptors and levels on disk, built once and reused."""

from __future__ import annotations

import json
import resource
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.descriptor_generator import CALIBRATION_FILE, Calibration, DescriptorGenerator
from export.index.search_levels import build_search_levels
from export.progress import progress
from retrieval_server.exact_search.fit_parameters import SearchRecord
from retrieval_server.exact_search.level_files import open_levels
from retrieval_server.exact_search.levels import Levels
from retrieval_server.index.descriptors import create_descriptors, open_descriptors
from retrieval_server.storage.arrays import release_pages
from retrieval_server.storage.digest import file_digest

ROOT = Path("build/bench-search")  # one folder a size
MODELS = {"densenet201_grmac": 1920, "seresnet152_grmac": 2048}  # profile paper
ALPHAS = {"densenet201_grmac": 3.0, "seresnet152_grmac": 1.0}
_AT_ONCE = 4096
_DONE = "database.json"


@dataclass(frozen=True)
class SearchDatabase:
    """A database that was built.

    Attributes:
        folder: where it lies.
        rows: N.
        build: seconds and peak bytes of the build of the levels.
        record: their fit.
    """

    folder: Path
    rows: int
    build: dict[str, float]
    record: SearchRecord

    def generator(self) -> DescriptorGenerator:
        """What made it, for its queries."""
        return DescriptorGenerator(self.rows, list(MODELS.values()), Calibration.read())

    def descriptors(self) -> tuple[NDArray[Any], ...]:
        """(N, C_n) float32 by backbone, mapped."""
        return tuple(open_descriptors(self.folder, model) for model in MODELS)

    def levels(self) -> Levels:
        """The levels, mapped."""
        return open_levels(self.folder, self.record, list(MODELS.values()), self.rows)


def prepare_database(root: Path, rows: int) -> SearchDatabase:
    """Build a database, or take the one that is there.

    Args:
        root: holds one folder a size.
        rows: N.
    """
    folder = root / f"{rows}"
    done = folder / _DONE
    calibration = file_digest(CALIBRATION_FILE)
    if done.is_file() and (data := json.loads(done.read_text()))["calibration"] == calibration:
        return SearchDatabase(folder, rows, data["build"], SearchRecord.from_json(data["record"]))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_descriptors(folder, rows)
    started = time.perf_counter()
    record = build_search_levels(folder, ALPHAS)
    if record is None:
        raise SystemExit(f"{rows:,} products need no levels; take more.")
    build = {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    data = {"calibration": calibration, "build": build, "record": record.to_json()}
    done.write_text(json.dumps(data))
    return SearchDatabase(folder, rows, build, record)


def _write_descriptors(folder: Path, rows: int) -> None:
    generator = DescriptorGenerator(rows, list(MODELS.values()), Calibration.read())
    arrays = [create_descriptors(folder, model, rows, size) for model, size in MODELS.items()]

    def write(first: int) -> None:
        last = min(first + _AT_ONCE, rows)
        for array, part in zip(arrays, generator.descriptors(first, last), strict=True):
            array[first:last] = part
            release_pages(array)
        advance(last - first)

    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(2) as executor,
        progress("descriptors", rows) as advance,
    ):
        list(executor.map(write, range(0, rows, _AT_ONCE)))
