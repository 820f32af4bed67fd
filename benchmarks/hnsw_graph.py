"""The graph of hnswlib over the concatenated descriptors, built once and kept beside them.

A graph of 500,000 rows takes some 500 to 1,250 seconds of CPU time to build and 8 GB on disk. It is
saved after each quarter of the rows: a build that is interrupted goes on there.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_database import SearchDatabase, chunks

LINKS, EF_CONSTRUCTION = 16, 100  # M, and the candidates of a new row
_THREADS = 2
_SAVED_SHARES = 4


def open_graph(database: SearchDatabase) -> tuple[Any, float]:
    """The graph, and the seconds that its build took; it builds what is missing.

    Raises:
        ImportError: if hnswlib is not installed.
    """
    import hnswlib

    file = database.folder / "hnswlib.index"
    state = _state(file)
    graph = hnswlib.Index("ip", sum(matrix.shape[1] for matrix in database.descriptors()))
    if state["rows"]:
        graph.load_index(str(file), max_elements=database.rows)
    else:
        graph.init_index(database.rows, M=LINKS, ef_construction=EF_CONSTRUCTION)
    graph.set_num_threads(1)
    if state["rows"] == database.rows:
        return graph, state["seconds"]
    started, first = time.perf_counter(), 0
    for chunk in chunks(database, "hnswlib"):
        rows = np.arange(first, first + len(chunk))
        first += len(chunk)
        if first <= state["rows"]:
            continue
        graph.add_items(chunk, rows, num_threads=_THREADS)
        if first - state["rows"] >= database.rows / _SAVED_SHARES or first == database.rows:
            seconds = state["seconds"] + time.perf_counter() - started
            state = {"rows": first, "seconds": round(seconds, 1)}
            _save(graph, file, state)
            started = time.perf_counter()
    return graph, state["seconds"]


def _state(file: Path) -> dict[str, Any]:
    """How many rows are in the file, and what they took."""
    state: dict[str, Any] = {"rows": 0, "seconds": 0.0}
    if file.is_file() and _state_file(file).is_file():
        state = json.loads(_state_file(file).read_text())
    return state


def _save(graph: Any, file: Path, state: dict[str, Any]) -> None:
    _state_file(file).unlink(missing_ok=True)  # it never describes another graph
    unfinished = file.with_suffix(".unfinished")
    graph.save_index(str(unfinished))
    unfinished.replace(file)
    _state_file(file).write_text(json.dumps(state))


def _state_file(file: Path) -> Path:
    return file.with_suffix(".json")
