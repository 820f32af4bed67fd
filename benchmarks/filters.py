"""``make bench-filters``: filtered searches beside unfiltered ones, and beside peers.

    python -m benchmarks.filters --rows 500000

The descriptors and queries are those of ``benchmarks.search``. Each product has a random number, so
that a range of it lets any share of the catalogue through, whatever the query. It also has a brand,
which joins families of products, so that a filter agrees with the query ("own brand") or
contradicts it ("any other brand"); a photo of an absent product takes the brand of any product.

One process, one thread, one query at a time. A filtered search of ours and the unfiltered one take
turns; the time includes the evaluation of the filter. ``filter_peers`` has the peers. Times are CPU
time, since the machine may be shared. The database is kept in ``build/bench-search``. With 500,000
rows, the database takes 11 GB on disk, and the peers take 20 GB of memory, the files' pages
included; hnswlib's graph, which is kept as well, takes 8 GB more on disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.descriptor_generator import KINDS
from benchmarks.filter_peers import PEERS, FilteredPeer
from benchmarks.search_database import (
    ALPHA,
    ROOT,
    TOP_K,
    Queries,
    Query,
    SearchDatabase,
    fused_in_float32,
    open_cascade,
    prepare_database,
    queries_of,
)
from benchmarks.search_reference import best_in_order, near_the_best, reference_similarities
from retrieval_server.attributes.columns import Columns, write_column
from retrieval_server.exact_search.cascade import CascadeSearch
from retrieval_server.filters.evaluation import passing_rows
from retrieval_server.filters.expression import (
    AllOf,
    AnyOf,
    Equals,
    Filter,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
)

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
FAMILIES_OF_A_BRAND = 100
QUERIES = 24  # of each kind
REPEATS = 3  # of each query, after one that is not measured
EVALUATIONS = 50
SEED = 0

FiltersByKind = Mapping[str, list[Filter]]  # one for each query of a kind


def write_columns(database: SearchDatabase, brands: NDArray[np.int64]) -> Columns:
    """Write the columns that the filters are about."""
    folder = database.folder / "columns"
    folder.mkdir(exist_ok=True)
    rows, random = database.rows, np.random.default_rng(SEED)
    values = {
        "draw": [repr(place / rows) for place in random.permutation(rows).tolist()],
        "brand": [f"brand {brand}" for brand in brands],
        "price": [f"{price:.2f}" for price in random.uniform(1, 100, rows)],
        "shade": [f"shade {shade}" for shade in random.integers(0, 300, rows)],
        "code": [f"code {place}" for place in random.permutation(rows)],
    }
    records = [
        write_column(folder, number, name, texts)
        for number, (name, texts) in enumerate(values.items())
    ]
    return Columns(folder, records)


def filters_of(database: SearchDatabase, brands: NDArray[np.int64]) -> dict[str, FiltersByKind]:
    """The filters of all queries: random shares of the catalogue, and by the brand of the query."""
    filters: dict[str, FiltersByKind] = {
        f"{100 * share:g} %": {kind: [Range("draw", below=share)] * QUERIES for kind in KINDS}
        for share in SHARES
    }
    generator = database.generator
    own = {
        kind: [
            Equals("brand", f"brand {brands[row]}")
            for row in generator.rows_of_queries(kind, QUERIES)
        ]
        for kind in KINDS
    }
    filters["own brand"] = own
    filters["any other brand"] = {
        kind: [NoneOf((each,)) for each in equals] for kind, equals in own.items()
    }
    return filters


def milliseconds(work: Callable[[], object]) -> float:
    """The time of one call."""
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def measure_ours(
    search: CascadeSearch, columns: Columns, queries: Queries, filters: FiltersByKind
) -> dict[str, Any]:
    """Median times with and without the filter, by kind and over all queries; rows that pass."""
    times: dict[str, list[list[float]]] = {kind: [[], []] for kind in KINDS}
    passing = []
    for kind in KINDS:
        for query, each in zip(queries[kind], filters[kind], strict=True):

            def filtered(query: Query = query, each: Filter = each) -> object:
                allowed = passing_rows(each, columns)
                return search.rank_all(query, ALPHA, TOP_K, allowed=allowed)

            def unfiltered(query: Query = query) -> object:
                return search.rank_all(query, ALPHA, TOP_K)

            for repeat in range(1 + REPEATS):
                for place, work in enumerate((filtered, unfiltered)):
                    taken = milliseconds(work)
                    if repeat:  # the first reads from disk what both need
                        times[kind][place].append(taken)
            passing.append(int(passing_rows(each, columns).sum()))
    result: dict[str, Any] = {"rows": float(np.median(passing)), "kinds": {}}
    for kind, (with_filter, without) in times.items():
        result["kinds"][kind] = _summary(with_filter, without)
    return result | _summary(*([t for kind in KINDS for t in times[kind][side]] for side in (0, 1)))


def _summary(with_filter: list[float], without: list[float]) -> dict[str, float]:
    filtered_ms, unfiltered_ms = float(np.median(with_filter)), float(np.median(without))
    return {
        "filtered_ms": round(filtered_ms, 3),
        "unfiltered_ms": round(unfiltered_ms, 3),
        "ratio": round(filtered_ms / unfiltered_ms, 2),
    }


def measure_peer(
    peer: FilteredPeer,
    search: CascadeSearch,
    columns: Columns,
    queries: Queries,
    filters: FiltersByKind,
) -> dict[str, float]:
    """Median time of a peer, without the evaluation of the filter, and its recall."""
    times, hits, wanted = [], 0, 0
    for kind in KINDS:
        for query, each in list(zip(queries[kind], filters[kind], strict=True))[: peer.queries]:
            allowed = passing_rows(each, columns)
            expected = set(search.rank_all(query, ALPHA, TOP_K, allowed=allowed).rows.tolist())
            peer.allow(allowed)
            started = time.process_time()
            found = peer.rank(query)
            times.append(1000 * (time.process_time() - started))
            hits, wanted = hits + len(expected & set(found.tolist())), wanted + len(expected)
    return {"ms": round(float(np.median(times)), 2), "recall": round(hits / max(1, wanted), 4)}


def differences(
    database: SearchDatabase,
    search: CascadeSearch,
    columns: Columns,
    queries: Queries,
    filters: Mapping[str, FiltersByKind],
) -> dict[str, Any]:
    """Compare rows with brute force; see ``search_reference``."""
    flat = [(kind, number) for kind in KINDS for number in range(QUERIES)]
    fused = fused_in_float32(database, [queries[kind][number] for kind, number in flat])
    matrices, different, compared, largest_error = database.descriptors(), 0, 0, 0.0
    for (kind, number), similarities in zip(flat, fused, strict=True):
        query = queries[kind][number]
        for by_kind in filters.values():
            allowed = passing_rows(by_kind[kind][number], columns)
            near = near_the_best(similarities, np.flatnonzero(allowed))
            rows, exact = best_in_order(near, reference_similarities(matrices, query, near))
            ranking = search.rank_all(query, ALPHA, TOP_K, allowed=allowed)
            compared, different = (
                compared + 1,
                different + (ranking.rows.tolist() != rows.tolist()),
            )
            errors = np.abs(ranking.similarities - exact)
            largest_error = max(largest_error, float(errors.max(initial=0)))
    return {"searches": compared, "differences": different, "largest_error": largest_error}


def evaluated_filters(rows: int) -> dict[str, Filter]:
    """Filters of one and of three conditions; lists have 1,000 values together, as many as may be.

    Args:
        rows: of the catalogue.
    """
    draws = [place / rows for place in np.random.default_rng(SEED).permutation(rows)[:1000]]
    codes = [f"code {place}" for place in np.random.default_rng(SEED).permutation(rows)[:1000]]
    shades = [f"shade {number}" for number in range(200)]
    price, brand = Range("price", at_least=10, below=30), Equals("brand", "brand 7")
    return {
        "text": brand,
        "range": price,
        "1,000 numbers": OneOf("draw", tuple(draws)),
        "1,000 texts, each of one product": OneOf("code", tuple(codes)),
        "text, range, range": AllOf((brand, price, Range("draw", below=0.5))),
        "text, range, 3 texts": AllOf((brand, price, OneOf("shade", tuple(shades[:3])))),
        "text, range, 200 texts": AllOf((brand, price, OneOf("shade", tuple(shades)))),
        "400 numbers, 400 texts of one product, 200 texts": AllOf(
            (
                OneOf("draw", tuple(draws[:400])),
                OneOf("code", tuple(codes[:400])),
                OneOf("shade", tuple(shades)),
            )
        ),
        "three times 333 numbers": AnyOf(
            tuple(OneOf("draw", tuple(draws[first::3][:333])) for first in range(3))
        ),
        "three times 333 texts of one product": AnyOf(
            tuple(OneOf("code", tuple(codes[first::3][:333])) for first in range(3))
        ),
        "none of (text, any of (range, missing))": NoneOf(
            (brand, AnyOf((price, IsMissing("shade"))))
        ),
    }


def evaluation_times(columns: Columns, rows: int) -> dict[str, float]:
    """Median ms of evaluating filters."""
    return {
        name: round(
            float(np.median([_evaluation_ms(each, columns) for _ in range(EVALUATIONS)])), 2
        )
        for name, each in evaluated_filters(rows).items()
    }


def _evaluation_ms(wanted: Filter, columns: Columns) -> float:
    return milliseconds(lambda: passing_rows(wanted, columns))


def measure(database: SearchDatabase, chosen: list[str]) -> dict[str, Any]:
    """All measurements on one database."""
    brands = database.generator.families() // FAMILIES_OF_A_BRAND
    columns, filters = write_columns(database, brands), filters_of(database, brands)
    queries, search = queries_of(database, QUERIES), open_cascade(database)
    summary: dict[str, Any] = {
        "rows": database.rows,
        "evaluation_ms": evaluation_times(columns, database.rows),
    }
    summary["ours"] = {
        name: measure_ours(search, columns, queries, by_kind) for name, by_kind in filters.items()
    }
    summary["exact"] = differences(database, search, columns, queries, filters)
    summary["peers"] = {}
    for name in chosen:
        peer = PEERS[name](database)
        summary["peers"][name] = {
            filter_name: measure_peer(peer, search, columns, queries, by_kind)
            for filter_name, by_kind in filters.items()
        }
        del peer
    return summary


def main() -> None:
    """Measure, and print tables, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; default: all")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.peers.split(",") if name]
    if unknown := set(chosen) - PEERS.keys():
        parser.error(f"unknown peers {sorted(unknown)}; known: {sorted(PEERS)}")
    with threadpool_limits(1, user_api="blas"):
        summary = measure(prepare_database(ROOT, arguments.rows), chosen)
    console = Console(width=150)
    console.print(table_of(summary))
    console.print(evaluation_table_of(summary))
    sys.stdout.write(json.dumps(summary) + "\n")


def table_of(summary: dict[str, Any]) -> Table:
    """One line for each filter: ours by kind of query beside the unfiltered search, then peers."""
    exact = summary["exact"]
    table = Table(
        title=f"{summary['rows']:,} products, one thread, median ms. Ours: with the filter, and "
        f"how many times as long as without. {exact['differences']} of {exact['searches']:,} "
        "searches differ from brute force. Peers: ms (recall@7)."
    )
    for heading in ("filter", "rows", *KINDS, "all", *summary["peers"]):
        table.add_column(heading, justify="left" if heading == "filter" else "right")
    for name, ours in summary["ours"].items():
        times = [*(ours["kinds"][kind] for kind in KINDS), ours]
        table.add_row(
            name,
            f"{ours['rows']:,.0f}",
            *(f"{each['filtered_ms']:.2f} ({each['ratio']:.2f}x)" for each in times),
            *(
                f"{peer[name]['ms']:.1f} ({peer[name]['recall']:.3f})"
                for peer in summary["peers"].values()
            ),
        )
    return table


def evaluation_table_of(summary: dict[str, Any]) -> Table:
    """One line for each filter that was evaluated without a search."""
    table = Table("conditions", title=f"Evaluation over {summary['rows']:,} products, median ms")
    table.add_column("ms", justify="right")
    for name, evaluation_ms in summary["evaluation_ms"].items():
        table.add_row(name, f"{evaluation_ms:.2f}")
    return table


if __name__ == "__main__":
    main()
