"""An evaluation in words and tables, for every form of output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.evaluation.results import (
    READ,
    TYPED,
    WORD_METHODS,
    Comparison,
    Evaluation,
    RatedQuery,
    Row,
    WordsChange,
)
from export.evaluation.search_notes import search_notes
from export.evaluation.significance import FLIPS, RESAMPLES, SIGNIFICANCE, Interval

CHANGES_SHOWN = 10  # queries that gained, and as many that lost
FEW_ITEMS = 30
_CONVENTIONS = ("gt", "hits")


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: the text.
        below: a second line in small print, such as an interval.
    """

    text: str
    below: str = ""


@dataclass(frozen=True)
class Section:
    """A table with its title and notes.

    Attributes:
        title: heading of the table.
        columns: headings of the columns.
        rows: cells, one for each column.
        notes: sentences below the table.
        texts: positions of the columns that hold text; the others hold figures.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    texts: tuple[int, ...] = (0,)


def sections(evaluation: Evaluation) -> list[Section]:
    """The paper's table, the comparison with the baseline, categories, words, changed queries."""
    found = [_table_1(evaluation), _comparison(evaluation)]
    if evaluation.categories:
        found.append(_categories(evaluation))
    kinds = dict.fromkeys(changed.words for changed in evaluation.words)
    found += [_words(evaluation, words) for words in kinds]
    found.append(_changes(evaluation, evaluation.rows[0].method, evaluation.detailed))
    found += [
        _changes(evaluation, evaluation.detailed, f"{words}, {evaluation.detailed}")
        for words in kinds
    ]
    return found


def conclusions(evaluation: Evaluation) -> list[str]:
    """One sentence for each convention: at which k there is a gain, a loss, or noise."""
    return [_conclusion(evaluation.rows, convention) for convention in _CONVENTIONS]


def _table_1(evaluation: Evaluation) -> Section:
    rows = []
    for row in evaluation.rows:
        means = (row.map_at_7.gt, row.map_at_7.hits, row.recall_at_7)
        ranges = (row.intervals.gt, row.intervals.hits, row.intervals.recall_at_7)
        changes = (row.improved_percent, row.impaired_percent)
        rows.append(
            (
                Cell(row.method),
                *(Cell(f"{m:.6f}", range_text(i)) for m, i in zip(means, ranges, strict=True)),
                *(Cell("-" if change is None else f"{change:.1f}") for change in changes),
            )
        )
    notes = [
        "gt: divided by min(relevant, 7); hits: divided by the hits found. Improved and impaired "
        "are by gt.",
        _hit_at_1(evaluation.rows),
        f"With each mean its 95 % interval: percentile bootstrap, {RESAMPLES:,} samples of "
        f"{_items(evaluation)}.",
    ]
    named = {row.method for row in evaluation.rows}
    origins = {TYPED: "in the ground truth's column words", READ: "on the photo"}
    if given := [f"{kind}: {origin}" for kind, origin in origins.items() if kind in named]:
        notes.append(
            f"{'; '.join(given)}. They are one more factor of eq. (8), with β = "
            f"{evaluation.text_weight:g}; a query without words is searched without."
        )
    notes += search_notes(evaluation)
    if evaluation.items < FEW_ITEMS:
        notes.append(
            f"With {evaluation.items} items the intervals are rough, and likely too narrow."
        )
    return Section(
        f"{evaluation.dataset}: {evaluation.queries:,} queries, {evaluation.products:,} images, "
        f"{evaluation.profile}",
        ("Method", "mAP@7 (gt)", "mAP@7 (hits)", "Recall@7", "Improved %", "Impaired %"),
        tuple(rows),
        tuple(notes),
    )


def _hit_at_1(rows: Sequence[Row]) -> str:
    """Hit@1 of the rows without words, and of those with words; the first of each has it."""
    first, *others = rows
    text = f"Hit@1 of every row: {first.hit_at_1:.6f} ({range_text(first.intervals.hit_at_1)})"
    for row in others:
        if row.method in WORD_METHODS:
            interval = range_text(row.intervals.hit_at_1)
            text += f", with {row.method} {row.hit_at_1:.6f} ({interval})"
    return f"{text}, as refinement keeps the first result."


def _comparison(evaluation: Evaluation) -> Section:
    rows = []
    for row in evaluation.rows:
        if row.against_baseline is not None:
            cells = [comparison_cells(row.against_baseline[name]) for name in _CONVENTIONS]
            rows.append((Cell(row.method), *cells[0], *cells[1]))
    return Section(
        "Difference to the baseline",
        ("Method", "mAP@7 (gt)", "p", "Verdict", "mAP@7 (hits)", "p", "Verdict"),
        tuple(rows),
        (
            *conclusions(evaluation),
            f"p: sign-flip randomisation test by item, two-sided, {FLIPS:,} flips or all of them, "
            f"corrected by Holm for the {len(rows)} rows of one convention; above {SIGNIFICANCE} a "
            "difference is called noise. The intervals (95 %) are of one row each, not corrected.",
        ),
        texts=(0, 3, 6),
    )


def _categories(evaluation: Evaluation) -> Section:
    rows = []
    for category in evaluation.categories:
        means = (
            category.map_at_7[evaluation.rows[0].method],
            category.map_at_7[evaluation.detailed],
        )
        rows.append(
            (
                Cell(category.name),
                Cell(f"{category.queries:,}"),
                *(Cell(f"{mean:.6f}") for mean in means),
                Cell(f"{category.difference:+.6f}", range_text(category.interval, signed=True)),
            )
        )
    return Section(
        "By category, mAP@7 (gt)",
        ("Category", "Queries", "baseline", evaluation.detailed, "Difference"),
        tuple(rows),
        (
            "A query's category is that of most of its relevant images. The intervals (95 %) are "
            "not corrected for the number of categories: take them as a hint where to look.",
        ),
    )


def _words(evaluation: Evaluation, words: str) -> Section:
    rows = tuple(
        (
            Cell("all" if changed.category is None else changed.category, _queries(changed)),
            Cell(f"{changed.without:.6f}"),
            Cell(f"{changed.with_words:.6f}"),
            *comparison_cells(changed.change),
        )
        for changed in evaluation.words
        if changed.words == words
    )
    return Section(
        f"What {words} change, {evaluation.detailed}, mAP@7 (gt)",
        ("Category", "Without", "With", "Difference", "p", "Verdict"),
        rows,
        (
            f"p: as above, corrected by Holm for the {len(rows)} rows. The intervals (95 %) are of "
            "one row each, not corrected.",
        ),
        texts=(0, 5),
    )


def _queries(changed: WordsChange) -> str:
    return f"{changed.queries:,} {'query' if changed.queries == 1 else 'queries'}"


def _changes(evaluation: Evaluation, before: str, after: str) -> Section:
    """The queries whose average precision changed most from one method to another."""
    first, second = evaluation.position(before), evaluation.position(after)
    by_change = sorted(
        ((_gain(query, first, second), query) for query in evaluation.rated_queries),
        key=lambda change: (-abs(change[0]), change[1].name),
    )
    gained = [query for gain, query in by_change if gain > 0]
    lost = [query for gain, query in by_change if gain < 0]
    shown = gained[:CHANGES_SHOWN] + lost[:CHANGES_SHOWN]
    rows = tuple(
        (
            Cell(query.name),
            Cell(f"{query.ratings[first].average_precision.gt:.3f}"),
            Cell(f"{query.ratings[second].average_precision.gt:.3f}"),
            Cell(_moves(query.ratings[first].ranks, query.ratings[second].ranks)),
        )
        for query in shown
    )
    return Section(
        f"Queries that changed most, {after}",
        (
            "Query",
            "AP before",
            "AP after",
            f"Ranks of relevant {'products' if evaluation.by_product else 'images'}",
        ),
        rows,
        (
            f"AP is by gt, before: {before}. {len(gained):,} queries gained, {len(lost):,} lost; "
            f"up to {CHANGES_SHOWN} of each are shown. A rank of - is beyond the seventh.",
        ),
        texts=(0, 3),
    )


def _conclusion(rows: Sequence[Row], convention: str) -> str:
    """A sentence that lists the k of each verdict."""
    methods: dict[str, list[str]] = {"gain": [], "loss": [], "noise": []}
    for row in rows:
        if row.method == f"k = {row.keep}" and row.against_baseline is not None:
            methods[row.against_baseline[convention].verdict].append(str(row.keep))
    words = {
        "gain": "refinement gains at k = {}",
        "loss": "refinement loses at k = {}",
        "noise": "the difference is within noise at k = {}",
    }
    parts = [words[verdict].format(", ".join(ks)) for verdict, ks in methods.items() if ks]
    return f"By {convention}, {'; '.join(parts)}."


def comparison_cells(comparison: Comparison) -> tuple[Cell, Cell, Cell]:
    """A difference with its interval, its p-value, and the verdict."""
    return (
        Cell(f"{comparison.difference:+.6f}", range_text(comparison.interval, signed=True)),
        Cell(_p_value(comparison.adjusted_p_value)),
        Cell(comparison.verdict),
    )


def _moves(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Old and new ranks of the relevant ones whose rank changed, best new rank first."""
    moved = [i for i in {**after, **before} if before.get(i) != after.get(i)]
    moved.sort(key=lambda i: (after.get(i, 8), before.get(i, 8), i))
    return ", ".join(f"{i} {before.get(i, '-')} → {after.get(i, '-')}" for i in moved)


def _gain(query: RatedQuery, first: int, second: int) -> float:
    return query.ratings[second].average_precision.gt - query.ratings[first].average_precision.gt


def _items(evaluation: Evaluation) -> str:
    if evaluation.items == evaluation.queries:
        return f"the {evaluation.queries:,} queries"
    return (
        f"the {evaluation.items:,} items that the {evaluation.queries:,} queries show, each with "
        "all its photos"
    )


def range_text(interval: Interval | None, signed: bool = False) -> str:
    """An interval in small print."""
    if interval is None:
        return "no interval"
    sign = "+" if signed else ""
    return f"{interval.low:{sign}.3f}…{interval.high:{sign}.3f}"


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
