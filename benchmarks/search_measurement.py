"""Times and recall of one method of ``search``, with numpy and our search measured beside it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.descriptor_generator import HARD_KINDS
from benchmarks.search_database import ALPHA, TOP_K, Queries, SearchDatabase, open_cascade
from benchmarks.search_peers import NumpyFloat32, Ours, Peer
from benchmarks.search_reference import hits, reference_similarities
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.kernels.layout import REGIONS
from retrieval_server.exact_search.levels.middle import MiddleLevel
from retrieval_server.exact_search.originals import ORIGINALS
from retrieval_server.exact_search.search import SearchCounts

WARM_UP = 16  # queries before the measurement: they map the pages and compile the code
NUMPY_QUERIES = 8
TARGETS = (0.95, 0.99)  # recall
QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}

Truth = dict[str, list[list[float]]]  # the similarities of each query's best seven, by kind


def truth_of(database: SearchDatabase, search: CascadeSearch, queries: Queries) -> Truth:
    """The similarities of the best seven in the reference, by our search.

    ``search_reference.compare_with_brute_force`` shows that our search finds them.
    """
    matrices = database.descriptors()
    return {
        kind: [
            reference_similarities(matrices, q, search.rank_all(q, ALPHA, TOP_K).rows).tolist()
            for q in kind_queries
        ]
        for kind, kind_queries in queries.items()
    }


def measure(
    database: SearchDatabase, peer: Peer, setting: int | None, queries: Queries, truth: Truth
) -> dict[str, Any]:
    """Measure one setting of a peer: quantiles of the ms of a query and recall, by kind."""
    matrices, result = database.descriptors(), {}
    for query in queries[HARD_KINDS[0]][:WARM_UP]:
        peer.rank(query, setting)
    for kind, kind_queries in queries.items():
        times, right = [], 0
        for query, wanted in zip(kind_queries, truth[kind], strict=True):
            started = time.perf_counter()
            rows = peer.rank(query, setting)
            times.append(1000 * (time.perf_counter() - started))
            right += hits(reference_similarities(matrices, query, rows).tolist(), wanted)
        quantiles = {name: float(np.quantile(times, q)) for name, q in QUANTILES.items()}
        recall = right / (len(kind_queries) * TOP_K)
        result[kind] = {n: round(ms, 3) for n, ms in quantiles.items()} | {
            "recall": round(recall, 4)
        }
    return result


def hard_recall(result: dict[str, Any]) -> float:
    """The mean recall of the hard kinds."""
    return float(np.mean([result[kind]["recall"] for kind in HARD_KINDS]))


def run_peer(
    database: SearchDatabase, peer: Peer, queries: Queries, truth: Truth, search: CascadeSearch
) -> dict[str, Any]:
    """Measure a peer with the first setting that reaches each target recall.

    If no setting reaches a target, the last setting is measured. Then our search and numpy are
    measured, on hard queries.
    """
    runs: dict[str, Any] = {}
    targets = list(TARGETS)
    for setting in peer.settings:
        result = measure(database, peer, setting, queries, truth)
        is_last = setting == peer.settings[-1]
        reached = [target for target in targets if hard_recall(result) >= target]
        if reached or is_last:
            runs[str(setting or "")] = result
            targets = [target for target in targets if target not in reached]
        if not targets:
            break
    hard = {kind: queries[kind] for kind in HARD_KINDS}
    ours = measure(database, Ours(search, 0.0), None, hard, truth)
    few = {HARD_KINDS[0]: queries[HARD_KINDS[0]][:NUMPY_QUERIES]}
    few_truth = {kind: truth[kind][:NUMPY_QUERIES] for kind in few}
    numpy_peer = NumpyFloat32(database)
    numpy_ms = measure(database, numpy_peer, None, few, few_truth)[HARD_KINDS[0]]["p50_ms"]
    numpy_peer.release()
    return {
        "runs": runs,
        "build_s": round(peer.build_s, 1),
        "index_bytes": peer.bytes,
        "numpy_ms": numpy_ms,
        "ours": ours,
    }


def run_ours(database: SearchDatabase, queries: Queries, truth: Truth) -> dict[str, Any]:
    """Measure the cascade, and the share of the database that it reads."""
    search = open_cascade(database)
    ours = Ours(search, database.build["seconds"])
    outcome = run_peer(database, ours, queries, truth, search)
    originals = sum(matrix.nbytes for matrix in search.descriptors)
    per_kind = {}
    for kind, kind_queries in queries.items():
        counts = [SearchCounts() for _ in kind_queries]
        for query, count in zip(kind_queries, counts, strict=True):
            search.rank_all(query, ALPHA, TOP_K, counts=count)
        touched = [bytes_touched(search, count) for count in counts]
        per_kind[kind] = {
            "touched_percent": round(100 * float(np.median(touched)) / originals, 2),
            "rescored_median": float(np.median([count[ORIGINALS] for count in counts])),
            "rescored_largest": max(count[ORIGINALS] for count in counts),
        }
    return outcome | {"touched": per_kind}


def bytes_touched(search: CascadeSearch, counts: SearchCounts) -> int:
    """Bytes that one search read: the rows of each level, and the axes of the rotation it used."""
    rows, axis = len(search), search.levels.fit.rotation.shape[1] * 4
    total = (REGIONS[0] + REGIONS[1] * (counts[MiddleLevel.name] > 0)) * axis
    for level in search.level_sizes():
        total += counts[level.name] * level.bytes // rows
    return int(total)
