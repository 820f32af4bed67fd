"""The rows and categories of an evaluation, computed from the ratings of single queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.evaluation.metrics import changed_percent, mean_average_precision
from export.evaluation.results import (
    Category,
    Comparison,
    Intervals,
    RatedQuery,
    Rating,
    Row,
    WordsChange,
)
from export.evaluation.significance import holm, mean_interval, paired_difference
from export.progress import Advance, progress

CATEGORIES_SHOWN = 12
OTHERS = "others"


def rows_of(methods: Sequence[tuple[str, int | None]], queries: Sequence[RatedQuery]) -> list[Row]:
    """Rows of the table: means over queries with intervals, and differences to the baseline.

    Args:
        methods: name and k of each method, the baseline first.
        queries: at least one query, with ratings by every method.
    """
    items = [query.item for query in queries]
    by_method = [[query.ratings[position] for query in queries] for position in range(len(methods))]
    baseline = by_method[0]
    with progress(
        "statistics", 3 * len(methods) - 2
    ) as advance:  # two comparisons for each row except the baseline
        compared = {
            convention: _comparisons(convention, by_method, items, advance)
            for convention in ("gt", "hits")
        }
        intervals = [_intervals(ratings, items, advance) for ratings in by_method]
    rows = []
    for position, ((method, keep), ratings) in enumerate(zip(methods, by_method, strict=True)):
        improved, impaired = changed_percent(
            [rating.average_precision for rating in baseline],
            [rating.average_precision for rating in ratings],
        )
        rows.append(
            Row(
                method=method,
                keep=keep,
                map_at_7=mean_average_precision([r.average_precision for r in ratings]),
                recall_at_7=float(np.mean([rating.recall_at_7 for rating in ratings])),
                hit_at_1=float(np.mean([rating.hit_at_1 for rating in ratings])),
                intervals=intervals[position],
                improved_percent=improved if position else None,
                impaired_percent=impaired if position else None,
                against_baseline={name: c[position - 1] for name, c in compared.items()}
                if position
                else None,
            )
        )
    return rows


def categories_of(
    methods: Sequence[str], detailed: str, queries: Sequence[RatedQuery]
) -> list[Category]:
    """The breakdown by category, most queries first.

    If there are more than ``CATEGORIES_SHOWN``, categories that are paths, such as
    ``Care/Hair/Shampoo``, are shortened to their first part; the smallest of the rest become
    "others".

    Args:
        methods: names of the methods, the baseline first.
        detailed: the method to compare with the baseline.
        queries: queries with ratings by every method.

    Returns:
        The categories; empty if no query has one.
    """
    return [_category(name, methods, detailed, own) for name, own in _by_category(queries)]


def words_changes(
    words: str, methods: tuple[int, int], queries: Sequence[RatedQuery]
) -> list[WordsChange]:
    """What words change on all queries, and on those of each category.

    Args:
        words: the kind of words.
        methods: positions of a refinement without words and of the same one with them.
        queries: queries with ratings by every method.
    """
    groups: list[tuple[str | None, Sequence[RatedQuery]]] = [(None, queries)]
    groups += _by_category(queries)
    means, differences = [], []
    with progress(words, len(groups)) as advance:
        for _, members in groups:
            before, after = (_precisions(members, position) for position in methods)
            means.append((float(np.mean(before)), float(np.mean(after))))
            differences.append(paired_difference(before, after, [query.item for query in members]))
            advance(1)
    adjusted = holm([difference.p_value for difference in differences])
    return [
        WordsChange(
            category=name,
            queries=len(members),
            words=words,
            without=without,
            with_words=with_words,
            change=Comparison(found.mean, found.interval, found.p_value, p_value),
        )
        for (name, members), (without, with_words), found, p_value in zip(
            groups, means, differences, adjusted, strict=True
        )
    ]


def _by_category(queries: Sequence[RatedQuery]) -> list[tuple[str, list[RatedQuery]]]:
    """The queries of each category as it is shown, most queries first; none without categories."""
    members: dict[str, list[RatedQuery]] = {}
    names = [query.category for query in queries]
    if not any(names):
        return []
    for name, query in zip(_shown(names), queries, strict=True):
        members.setdefault(name, []).append(query)
    ordered = sorted(members, key=lambda name: (name == OTHERS, -len(members[name]), name))
    return [(name, members[name]) for name in ordered]


def _precisions(queries: Sequence[RatedQuery], position: int) -> list[float]:
    """Average precision (gt) of each query by the method at a position."""
    return [query.ratings[position].average_precision.gt for query in queries]


def _intervals(ratings: Sequence[Rating], items: Sequence[int], advance: Advance) -> Intervals:
    found = Intervals(
        gt=mean_interval([rating.average_precision.gt for rating in ratings], items),
        hits=mean_interval([rating.average_precision.hits for rating in ratings], items),
        recall_at_7=mean_interval([rating.recall_at_7 for rating in ratings], items),
        hit_at_1=mean_interval([rating.hit_at_1 for rating in ratings], items),
    )
    advance(1)
    return found


def _comparisons(
    convention: str,
    by_method: Sequence[Sequence[Rating]],
    items: Sequence[int],
    advance: Advance,
) -> list[Comparison]:
    """Comparison of every other method with the baseline, by one convention."""
    values = [
        [getattr(rating.average_precision, convention) for rating in ratings]
        for ratings in by_method
    ]
    differences = []
    for other in values[1:]:
        differences.append(paired_difference(values[0], other, items))
        advance(1)
    adjusted = holm([difference.p_value for difference in differences])
    return [
        Comparison(d.mean, d.interval, d.p_value, p)
        for d, p in zip(differences, adjusted, strict=True)
    ]


def _shown(names: Sequence[str | None]) -> list[str]:
    """The names to show; if there are too many, the first parts of paths, and "others"."""
    full = [name or OTHERS for name in names]
    if len(set(full)) > CATEGORIES_SHOWN:
        full = [name.split("/")[0].split(">")[0].strip() or OTHERS for name in full]
    counts = {name: full.count(name) for name in set(full) - {OTHERS}}
    largest = sorted(counts, key=lambda name: (-counts[name], name))[:CATEGORIES_SHOWN]
    return [name if name in largest else OTHERS for name in full]


def _category(
    name: str, methods: Sequence[str], detailed: str, queries: Sequence[RatedQuery]
) -> Category:
    items = [query.item for query in queries]
    by_method = {method: _precisions(queries, position) for position, method in enumerate(methods)}
    changes = np.subtract(by_method[detailed], by_method[methods[0]])
    return Category(
        name=name,
        queries=len(queries),
        items=len(set(items)),
        map_at_7={method: float(np.mean(values)) for method, values in by_method.items()},
        difference=float(changes.mean()),
        interval=mean_interval(changes, items),
    )
