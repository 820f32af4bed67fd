"""Upserts into Milvus Lite: when a search finds them, and which survive a kill.

    python -m benchmarks.changing_store FILE

``changes`` runs this. The program that is killed has this module's ``main``: it upserts a row at a
time, and prints the number of each that was answered.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient

from benchmarks.child_process import in_child_process
from benchmarks.search_database import SearchDatabase
from client.changes import CatalogueProduct

UPSERTS = 50
KILLED_AFTER = 30  # answered upserts
ROWS_AT_ONCE = 500
COLLECTION, ROW, VECTOR = "products", "row", "vector"
FIRST_KILLED = 1_000_000  # rows of the program that is killed


def measure_store(database: SearchDatabase, products: Sequence[CatalogueProduct]) -> dict[str, Any]:
    """Measure upserts into a collection, and kill a program that upserts.

    Args:
        database: its folder gets the collection for a while.
        products: what is in it before; the first ones are upserted again.
    """
    vectors = np.array(
        [
            np.concatenate(list(product.descriptors.values()))
            for product in products
            if product.descriptors is not None
        ],
        np.float32,
    )
    with tempfile.TemporaryDirectory(dir=database.folder) as folder:
        file = Path(folder) / "store.db"
        times = in_child_process(_times, file, vectors)  # the file is locked by its process
        answered = _killed(file)
        kept = in_child_process(_rows_of_killed, file)
    answered_ms, found_ms = np.median(times, axis=0).round(1).tolist()
    return {
        "version": version("milvus-lite"),
        "rows": len(vectors),
        "answered_ms": answered_ms,
        "found_ms": found_ms,
        "answered": len(answered),
        "kept": len(answered & kept),
    }


def _times(file: Path, vectors: NDArray[np.float32]) -> list[tuple[float, float]]:
    """See ``_upsert``, of some rows of a new collection."""
    client = _filled(file, vectors)
    return [_upsert(client, row, vectors[row].tolist()) for row in range(UPSERTS)]


def _rows_of_killed(file: Path) -> set[int]:
    """The rows that the program has left that was killed."""
    client = MilvusClient(str(file))
    client.load_collection(COLLECTION)
    rows = client.query(COLLECTION, filter=f"{ROW} >= {FIRST_KILLED}", output_fields=[ROW])
    return {row[ROW] for row in rows}


def _filled(file: Path, vectors: NDArray[np.float32]) -> MilvusClient:
    client = MilvusClient(str(file))
    schema = client.create_schema()
    schema.add_field(ROW, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    index = client.prepare_index_params()
    index.add_index(VECTOR, index_type="FLAT", metric_type="IP")
    client.create_collection(COLLECTION, schema=schema, index_params=index)
    for first in range(0, len(vectors), ROWS_AT_ONCE):
        piece = enumerate(vectors[first : first + ROWS_AT_ONCE].tolist(), first)
        client.insert(COLLECTION, [{ROW: row, VECTOR: vector} for row, vector in piece])
    client.flush(COLLECTION)
    client.load_collection(COLLECTION)
    return client


def _upsert(client: MilvusClient, row: int, vector: list[float]) -> tuple[float, float]:
    """Milliseconds until an upsert is answered, and until a search finds what it has changed."""
    reversed_vector = vector[::-1]
    started = time.perf_counter()
    client.upsert(COLLECTION, [{ROW: row, VECTOR: reversed_vector}])
    answered = time.perf_counter()
    while True:
        (found,) = client.search(COLLECTION, [reversed_vector], anns_field=VECTOR, limit=1)
        if found and found[0]["distance"] > 1.99:  # two backbones, each of unit norm
            return 1e3 * (answered - started), 1e3 * (time.perf_counter() - started)


def _killed(file: Path) -> set[int]:
    """Kill a program that upserts, and return the rows that it has got an answer for."""
    command = [sys.executable, "-m", "benchmarks.changing_store", str(file)]
    answered = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None, "it is piped"
        for line in program.stdout:
            answered.append(int(line))
            if len(answered) == KILLED_AFTER:
                program.kill()
        # What it has printed before the kill is read to its end.
    if len(answered) < KILLED_AFTER:
        raise RuntimeError("The program that upserts has ended by itself.")
    return set(answered)


def main() -> None:
    """Upsert until the end."""
    client = MilvusClient(sys.argv[1])
    client.load_collection(COLLECTION)
    size = next(
        each["params"]["dim"]
        for each in client.describe_collection(COLLECTION)["fields"]
        if each["name"] == VECTOR
    )
    rng = np.random.default_rng(0)
    row = FIRST_KILLED
    while True:
        vector = rng.normal(size=size)
        unit = (vector / np.linalg.norm(vector)).tolist()
        client.upsert(COLLECTION, [{ROW: row, VECTOR: unit}])
        print(row, flush=True)
        row += 1


if __name__ == "__main__":
    main()
