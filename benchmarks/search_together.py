"""The throughput of searches that share scans, beside one search at a time, for ``search``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.descriptor_generator import KINDS
from benchmarks.search_database import ALPHA, TOP_K, Query, SearchDatabase, open_cascade, queries_of
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.exact_search.search import ExactWanted
from retrieval_server.exact_search.shared_scan import results_together
from retrieval_server.exact_search.similarity import Ranking

SIZES = (1, 4, 8, 16)  # searches at once
QUERIES = 96  # of each kind
ROUNDS = 5


def measure_together(database: SearchDatabase) -> dict[str, Any]:
    """Measure queries a second by kind and number at once, in one thread, and compare rankings.

    The sizes take turns in each round, and the median round counts.
    """
    search, queries = open_cascade(database), queries_of(database, QUERIES)
    per_s: dict[str, dict[int, float]] = {}
    differences = 0
    for kind in KINDS:
        alone = [search.rank_all(query, ALPHA, TOP_K) for query in queries[kind]]
        times: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size in SIZES:
                started = time.perf_counter()
                found = ranked_together(search, queries[kind], size)
                times[size].append(time.perf_counter() - started)
                differences += sum(map(differs, found, alone))
        per_s[kind] = {
            size: round(QUERIES / float(np.median(seconds)), 1) for size, seconds in times.items()
        }
    return {"per_s": per_s, "queries": len(KINDS) * QUERIES, "differences": differences}


def ranked_together(search: CascadeSearch, queries: Sequence[Query], size: int) -> list[Ranking]:
    """The rankings of queries, so many of which wait at the same time."""
    found: list[Ranking] = []
    for first in range(0, len(queries), size):
        wanted = [ExactWanted(query, ALPHA, TOP_K) for query in queries[first : first + size]]
        found += results_together(map(search.ranking, wanted), lambda ended: None)
    return found


def differs(found: Ranking, alone: Ranking) -> bool:
    """Whether a ranking differs in any bit from the one that a search alone has."""
    return not all(
        np.array_equal(getattr(found, part), getattr(alone, part))
        for part in ("rows", "similarities", "cosines")
    )


def together_sentence(result: dict[str, Any]) -> str:
    """The gain by kind of query, for people."""
    gains = []
    for kind, of_kind in result["per_s"].items():
        alone, *others = of_kind.values()
        gains.append(f"{kind} {', '.join(f'{per_s / alone:.2f}' for per_s in others)}")
    return (
        f"Throughput of {', '.join(map(str, SIZES[1:]))} searches at once over one at a time: "
        f"{'; '.join(gains)}. {result['differences']} of {result['queries']} rankings differ."
    )
