"""A tuning for people: a table, the settings to use, and a page with the grid as pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from export.grid_slices import Slice
from export.profiles import profile_toml
from export.significance import Interval
from export.tune import CHOSEN, TunedRow, Tuning

_LEGEND = (
    "mAP@7 (gt). Held out: each query rated with what was chosen without its fold; gain: of that, "
    "over the profile as it is; p: of no gain, paired, corrected by Holm. Optimistic: on the very "
    "queries it was chosen on. The sum is for comparison: a profile fuses by eq. (8)."
)
_STYLE = """
:root { color-scheme: light dark; --line: #8885; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1000px;
       padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; text-align: left; }
img { max-width: 100%; background: #fff; border-radius: 6px; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: 1rem; overflow-x: auto; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
"""


def tuning_table(tuning: Tuning) -> RenderableType:
    """The outcome for people."""
    table = Table(title=_title(tuning))
    table.add_column("What may change")
    for heading in ("held out (95 %)", "gain (95 %)", "p", "optimistic"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("nothing", *_default_cells(tuning))
    for row in tuning.rows:
        table.add_row(row.scope, *_cells(row))
    chosen = [f"{row.scope}: {row.described}" for row in tuning.rows]
    edges = [Text(said) for said in (_edges(tuning),) if said]
    return Group(
        table, Text(_LEGEND), Text(), Text("Chosen on all queries:"), *map(Text, chosen), *edges
    )


def tuned_settings(tuning: Tuning) -> str:
    """The chosen settings: TOML for ``--profile``, and as comments what is no part of a profile."""
    setting = tuning.chosen.setting
    return (
        f"# Tuned on {tuning.described.name} ({len(tuning.described.queries):,} queries): "
        f"mAP@7 {tuning.chosen.held_out:.4f} held out, {tuning.default:.4f} before.\n"
        "# k and τ are settings of server and index:\n"
        f"#   beauty-export index ... --threshold {setting.threshold:g}\n"
        f"#   beauty-server ... --default-keep {setting.keep}\n"
        f"{profile_toml(setting.profile(tuning.grid.profile))}"
    )


def write_tuning_report(tuning: Tuning, path: Path) -> None:
    """Write the outcome as one HTML file with the pictures inside; overwrites."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(tuning_page(tuning), encoding="utf-8")
    scratch.replace(path)


def tuning_page(tuning: Tuning) -> str:
    """The outcome as an HTML page that needs nothing else."""
    headings = ("what may change", "held out (95 %)", "gain (95 %)", "p", "optimistic")
    lines = [("nothing", *_default_cells(tuning))]
    lines += [(row.scope, *_cells(row)) for row in tuning.rows]
    chosen = [("on all queries", tuning.chosen.described)]
    chosen += [(f"without fold {n}", said) for n, said in enumerate(tuning.chosen.by_fold, 1)]
    found = [(row.scope, row.described) for row in tuning.rows]
    pictures = "".join(
        f"<h2>{html.escape(part.title)}</h2>{_heat_map(part)}" for part in tuning.slices
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>beauty-retrieval: tuning</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(_title(tuning))}</h1>{_html_table(headings, lines)}"
        f"<p>{html.escape(_LEGEND)}</p>"
        f"{_bars(tuning)}<h2>What was chosen on all queries</h2>"
        f"{_html_table(('what may change', 'setting'), found)}<p>{html.escape(_edges(tuning))}</p>"
        f"<h2>How stable the choice is: {CHOSEN}</h2>{_html_table(('chosen', 'setting'), chosen)}"
        f"<h2>The settings to use</h2><pre>{html.escape(tuned_settings(tuning))}</pre>"
        f"<h2>The grid</h2><p>mAP@7 (gt) on all queries: its best values are optimistic.</p>"
        f"{pictures}</html>\n"
    )


def _edges(tuning: Tuning) -> str:
    edges = tuning.grid.edges(tuning.chosen.setting)
    if not edges:
        return ""
    return f"At the edge of the grid, more values may help: {', '.join(edges)}."


def _title(tuning: Tuning) -> str:
    described = tuning.described
    return (
        f"{described.name}: {len(described.queries):,} queries, {len(described.products):,} "
        f"images, {tuning.grid.profile.name}; {tuning.settings:,} settings, {tuning.folds} folds"
    )


def _default_cells(tuning: Tuning) -> tuple[str, str, str, str]:
    return (f"{tuning.default:.4f}{_range(tuning.default_interval)}", "-", "-", "-")


def _cells(row: TunedRow) -> tuple[str, str, str, str]:
    gain = row.difference
    return (
        f"{row.held_out:.4f}{_range(row.interval)}",
        f"{gain.mean:+.4f}{_range(gain.interval, '+')}",
        f"{row.adjusted_p:.4f}",
        f"{row.optimistic:.4f}",
    )


def _range(interval: Interval | None, sign: str = "") -> str:
    return "" if interval is None else f" ({interval.low:{sign}.3f}, {interval.high:{sign}.3f})"


def _html_table(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
        for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _bars(tuning: Tuning) -> str:
    """Held-out figures with their intervals beside the optimistic ones."""
    figure = Figure(figsize=(9, 0.5 * len(tuning.rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    names = ["nothing", *(row.scope for row in tuning.rows)]
    means = [tuning.default, *(row.held_out for row in tuning.rows)]
    intervals = [tuning.default_interval, *(row.interval for row in tuning.rows)]
    for place, interval in enumerate(intervals):
        if interval is not None:
            axes.plot([interval.low, interval.high], [place, place], color="tab:blue", alpha=0.4)
    axes.plot(means, range(len(means)), "o", color="tab:blue", label="held out, 95 % interval")
    optimistic = [row.optimistic for row in tuning.rows]
    axes.plot(
        optimistic, range(1, len(means)), "x", color="tab:orange", label="optimistic (in sample)"
    )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("mAP@7 (gt)")
    axes.legend()
    return _picture(figure, "mAP@7 of each search, held out and optimistic")


def _heat_map(part: Slice) -> str:
    values = np.array(part.values)
    figure = Figure(
        figsize=(1.1 * len(part.columns) + 3, 0.4 * len(part.rows) + 1.4), layout="constrained"
    )
    axes = figure.subplots()
    axes.imshow(values, aspect="auto", cmap="viridis")
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if value > middle else "white"
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(part.columns)), part.columns)
    axes.set_yticks(range(len(part.rows)), part.rows)
    axes.set_xlabel(part.column_name)
    axes.set_ylabel(part.row_name)
    return _picture(figure, part.title)


def _picture(figure: Figure, alternative: str) -> str:
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=110, metadata={"Software": None})
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{data}">'
