"""The result of a tuning in words and tables, and the chosen settings as TOML."""

from __future__ import annotations

from collections.abc import Iterator

from export.evaluation.search_notes import BY_PRODUCT
from export.evaluation.sections import Cell, Section, comparison_cells, range_text
from export.models.profiles import profile_toml
from export.tuning.described_dataset import DescribedDataset
from export.tuning.tune import CHOSEN, Tuning

_NO_GAIN = "By the test that is no gain: the profile as it was may serve as well, or better."


def tuning_sections(tuning: Tuning) -> list[Section]:
    """The held-out mAP@7 of every search, and the setting that it chose."""
    return [_worth(tuning), _found(tuning)]


def stability_section(tuning: Tuning) -> Section:
    """The settings that the search chooses without each fold."""
    chosen = [("on all queries", tuning.chosen.described)]
    chosen += [(f"without fold {n}", said) for n, said in enumerate(tuning.chosen.by_fold, 1)]
    return Section(
        f"How stable the choice is: {CHOSEN}",
        ("Chosen", "Setting"),
        tuple((Cell(when), Cell(setting)) for when, setting in chosen),
        (),
        texts=(0, 1),
    )


def tuned_settings(tuning: Tuning) -> str:
    """The chosen settings: a TOML file for ``--profile``, with k and τ in its comments."""
    setting = tuning.chosen.setting
    note = "" if tuning.chosen.gain.verdict == "gain" else f"# {_NO_GAIN}\n"
    return (
        f"# Tuned on {tuning.described.name} ({len(tuning.described.queries):,} queries): "
        f"mAP@7 {tuning.chosen.held_out:.6f} held out, {tuning.default:.6f} before.\n{note}"
        "# k and τ are settings of server and index:\n"
        f"#   beauty-export index ... --threshold {setting.threshold:g}\n"
        f"#   beauty-server ... --default-keep {setting.keep}\n"
        f"{profile_toml(setting.profile(tuning.grid.profile))}"
    )


def _worth(tuning: Tuning) -> Section:
    described = tuning.described
    own = (
        Cell("nothing"),
        Cell(f"{tuning.default:.6f}", range_text(tuning.default_interval)),
        *[Cell("-")] * 4,
    )
    rows = [
        (
            Cell(row.search_space),
            Cell(f"{row.held_out:.6f}", range_text(row.interval)),
            *comparison_cells(row.gain),
            Cell(f"{row.optimistic:.6f}"),
        )
        for row in tuning.rows
    ]
    return Section(
        f"{described.name}: {len(described.queries):,} queries, {len(described.products):,} "
        f"images, {tuning.grid.profile.name}",
        ("May change", "Held out", "Gain", "p", "Verdict", "Optimistic"),
        (own, *rows),
        (
            f"mAP@7 (gt) of {tuning.settings:,} settings. Held out: each query is rated with what "
            f"was chosen without its fold, one of {tuning.folds}. Optimistic: the best setting on "
            "the very queries it was chosen on.",
            *([BY_PRODUCT] if described.truth.by_product else []),
            *_words(described),
            "Gain: of the held-out figure over the profile as it is. p: as in the evaluation, "
            f"corrected by Holm for {len(rows)} rows. Intervals: 95 %, of this choice of folds.",
        ),
        texts=(0, 4),
    )


def _words(described: DescribedDataset) -> Iterator[str]:
    """A note about β, if queries have words."""
    if described.text_cosines is not None:
        compared = int(described.text_cosines.any(axis=1).sum())
        yield (
            "β: strength of the words that are typed or read on the photo; "
            f"{compared:,} of {len(described.queries):,} queries have words that a product has."
        )


def _found(tuning: Tuning) -> Section:
    notes = ["The sum of cosines is for comparison: a profile fuses by eq. (8)."]
    if edges := tuning.grid.edges(tuning.chosen.setting):
        notes.append(f"At the edge of the grid, so that more may help: {', '.join(edges)}.")
    return Section(
        "Chosen on all queries",
        ("May change", "Setting"),
        tuple((Cell(row.search_space), Cell(row.described)) for row in tuning.rows),
        tuple(notes),
        texts=(0, 1),
    )
