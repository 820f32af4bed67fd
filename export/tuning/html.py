"""The result of a tuning as one self-contained HTML page, with heat maps of the grid."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from matplotlib.figure import Figure

from export.evaluation.html import PAGE_STYLE, section_html
from export.tuning.heat_maps import HeatMap
from export.tuning.sections import stability_section, tuned_settings, tuning_sections
from export.tuning.tune import Tuning


def tuning_page(tuning: Tuning) -> str:
    """A page with the sections of a tuning, the settings to use, and heat maps of the grid."""
    worth, found = tuning_sections(tuning)
    pictures = "".join(
        f"<h3>{html.escape(heat_map.title)}</h3>{_heat_map(heat_map)}"
        for heat_map in tuning.heat_maps
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>beauty-retrieval: tuning on {html.escape(tuning.described.name)}</title>"
        f"<style>{PAGE_STYLE} img {{ max-width: 100%; background: #fff; }}</style>"
        f"<h1>Which settings are best?</h1>{section_html(worth)}{_bars(tuning)}"
        f"{section_html(found)}{section_html(stability_section(tuning))}"
        f"<h2>The settings to use</h2><pre>{html.escape(tuned_settings(tuning))}</pre>"
        f"<h2>The grid</h2><p>mAP@7 (gt) on all queries: its best values are optimistic.</p>"
        f"{pictures}</html>\n"
    )


def _bars(tuning: Tuning) -> str:
    """A plot of held-out mAP@7 with its intervals, beside optimistic mAP@7."""
    figure = Figure(figsize=(9, 0.5 * len(tuning.rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    names = ["nothing", *(row.search_space for row in tuning.rows)]
    means = [tuning.default, *(row.held_out for row in tuning.rows)]
    intervals = [tuning.default_interval, *(row.interval for row in tuning.rows)]
    for row, interval in enumerate(intervals):
        if interval is not None:
            axes.plot([interval.low, interval.high], [row, row], color="tab:blue", alpha=0.4)
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


def _heat_map(shown: HeatMap) -> str:
    values = np.array(shown.values)
    figure = Figure(
        figsize=(1.1 * len(shown.columns) + 3, 0.4 * len(shown.rows) + 1.4),
        layout="constrained",
    )
    axes = figure.subplots()
    axes.imshow(values, aspect="auto", cmap="viridis")
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if value > middle else "white"
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(shown.columns)), shown.columns)
    axes.set_yticks(range(len(shown.rows)), shown.rows)
    axes.set_xlabel(shown.column_name)
    axes.set_ylabel(shown.row_name)
    return _picture(figure, shown.title)


def _picture(figure: Figure, alternative: str) -> str:
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=110, metadata={"Software": None})
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{data}">'
