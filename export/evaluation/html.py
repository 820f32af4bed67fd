"""An evaluation as one self-contained HTML file, without scripts and external resources."""

from __future__ import annotations

import html

from export.evaluation.results import Comparison, Evaluation
from export.evaluation.sections import Cell, Section, sections

PAGE_STYLE = """
:root { color-scheme: light dark; --line: #8885; --gain: #1a8f4a; --loss: #c0392b; --noise: #888; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1000px;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
         vertical-align: top; }
th { font-weight: 600; } .text { text-align: left; }
td small { display: block; opacity: .75; white-space: nowrap; }
.warning { border-left: 4px solid var(--loss); padding-left: .8rem; }
.note { font-size: .85rem; max-width: 75ch; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif;
      fill: currentColor; }
"""
_ROW_HEIGHT, _LEFT, _RIGHT, _WIDTH = 26, 80, 30, 640  # of the plot, in its own units


def evaluation_page(evaluation: Evaluation) -> str:
    """The sections of an evaluation and a plot of the differences, as one HTML page."""
    warnings = "".join(f"<p class=warning>{html.escape(w)}</p>" for w in evaluation.warnings)
    unreadable = "".join(
        f"<p class=warning>Query {html.escape(f'{name} {problem}')} It is left out of every "
        "figure.</p>"
        for name, problem in evaluation.unreadable.items()
    )
    tables = [section_html(section) for section in sections(evaluation)]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>beauty-retrieval: evaluation of {html.escape(evaluation.dataset)}</title>"
        f"<style>{PAGE_STYLE}</style><h1>Does refinement help?</h1>"
        f"<p>Index {html.escape(evaluation.index_version)}.</p>{warnings}{unreadable}"
        f"{tables[0]}{tables[1]}{_plot(evaluation, 'gt')}{_plot(evaluation, 'hits')}"
        f"{''.join(tables[2:])}</html>\n"
    )


def section_html(section: Section) -> str:
    """A section as a heading, a table and notes."""
    classes = [" class=text" if n in section.texts else "" for n in range(len(section.columns))]
    headings = "".join(
        f"<th scope=col{css}>{html.escape(name)}</th>"
        for css, name in zip(classes, section.columns, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(_cell(cell, css) for cell, css in zip(row, classes, strict=True))}</tr>"
        for row in section.rows
    )
    notes = "".join(f"<p class=note>{html.escape(note)}</p>" for note in section.notes)
    return (
        f"<h2>{html.escape(section.title)}</h2><div class=scroll><table>"
        f"<thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>{notes}"
    )


def _cell(cell: Cell, css: str) -> str:
    below = f"<small>{html.escape(cell.below)}</small>" if cell.below else ""
    return f"<td{css}>{html.escape(cell.text)}{below}</td>"


def _plot(evaluation: Evaluation, convention: str) -> str:
    """The differences to the baseline with their intervals, by k."""
    drawn = [
        (row.method, row.against_baseline[convention])
        for row in evaluation.rows
        if row.against_baseline is not None
    ]
    ends = [0.0]
    for _, comparison in drawn:
        ends += [comparison.difference, *_ends(comparison)]
    low, high = min(ends), max(ends)
    scale = (_WIDTH - _LEFT - _RIGHT) / ((high - low) or 1.0)

    def across(value: float) -> str:
        return f"{_LEFT + (value - low) * scale:.1f}"

    height = _ROW_HEIGHT * (len(drawn) + 1)
    lines = [
        f'<line x1="{across(0)}" x2="{across(0)}" y1="0" y2="{height - _ROW_HEIGHT}" '
        'stroke="currentColor" stroke-dasharray="3 3"/>'
    ]
    lines += [
        f'<text x="{across(value)}" y="{height - 8}" text-anchor="middle">{value:+.3f}</text>'
        for value in (low, high)
    ]
    for number, (method, comparison) in enumerate(drawn):
        y = _ROW_HEIGHT * number + _ROW_HEIGHT // 2
        start, end = _ends(comparison)
        colour = f"var(--{comparison.verdict})"
        lines.append(
            f'<text x="0" y="{y + 4}">{html.escape(method)}</text>'
            f'<line x1="{across(start)}" x2="{across(end)}" y1="{y}" y2="{y}" '
            f'stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{across(comparison.difference)}" cy="{y}" r="5" fill="{colour}">'
            f"<title>{comparison.difference:+.6f}, {comparison.verdict}</title></circle>"
        )
    name = f"Difference to the baseline by mAP@7 ({convention}), with 95 % intervals"
    return (
        f'<figure><svg role=img aria-label="{name}" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}">{"".join(lines)}</svg><figcaption class=note>{name}; '
        "dashed: no difference, grey: noise.</figcaption></figure>"
    )


def _ends(comparison: Comparison) -> tuple[float, float]:
    interval = comparison.interval
    if interval is None:
        return comparison.difference, comparison.difference
    return interval.low, interval.high
