"""A calibration as one self-contained HTML file, without scripts and external resources."""

from __future__ import annotations

import html

from export.calibration.calibrate import Calibrated
from export.calibration.sections import calibration_sections, named_qualities
from export.evaluation.html import PAGE_STYLE, section_html
from retrieval_server.index.calibration import Quality

_SIDE, _MARGIN, _LARGEST = 240, 34, 9  # of a diagram, and radius of its largest dot, in pixels


def calibration_page(calibrated: Calibrated, version: str) -> str:
    """The sections of a calibration and its reliability diagrams, as one HTML page.

    Args:
        calibrated: the calibration.
        version: of the index that has it.
    """
    refused = "".join(
        f"<p class=warning>{html.escape(f'A {kind} gets no probabilities. {reason}')}</p>"
        for kind, reason in calibrated.refused.items()
    )
    diagrams = "".join(
        _diagram(f"{kind}: {name}", quality)
        for kind, models in calibrated.calibration.kinds.items()
        for name, quality in named_qualities(models)
    )
    tables = [section_html(section) for section in calibration_sections(calibrated)]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        "<title>beauty-retrieval: calibration</title>"
        f"<style>{PAGE_STYLE} figure {{ display: inline-block; margin: 1rem; }}</style>"
        f"<h1>How far can the probabilities be trusted?</h1><p>Index {html.escape(version)}.</p>"
        f"{refused}{tables[0]}{diagrams}{''.join(tables[1:])}</html>\n"
    )


def _diagram(name: str, quality: Quality) -> str:
    """Observed shares over predicted probabilities; the area of a dot is its number of cases."""
    most = max(each.count for each in quality.curve)

    def across(value: float) -> str:
        return f"{_MARGIN + value * (_SIDE - 2 * _MARGIN):.1f}"

    def up(value: float) -> str:
        return f"{_SIDE - _MARGIN - value * (_SIDE - 2 * _MARGIN):.1f}"

    lines = [
        f'<line x1="{across(0)}" y1="{up(0)}" x2="{across(1)}" y2="{up(1)}" '
        'stroke="currentColor" stroke-dasharray="3 3"/>'
    ]
    for value in (0, 1):
        lines += [
            f'<text x="{across(value)}" y="{_SIDE - 14}" text-anchor="middle">{value}</text>',
            f'<text x="{_MARGIN - 16}" y="{up(value)}" dominant-baseline="middle">{value}</text>',
        ]
    lines += [
        f'<circle cx="{across(each.predicted)}" cy="{up(each.observed)}" '
        f'r="{max(2.0, _LARGEST * (each.count / most) ** 0.5):.1f}" fill="var(--gain)" '
        f'fill-opacity=".7"><title>predicted {each.predicted:.3f}, observed {each.observed:.3f}, '
        f"{each.count:,} cases</title></circle>"
        for each in quality.curve
    ]
    label = html.escape(f"{name}: observed share over predicted probability")
    return (
        f'<figure><svg role=img aria-label="{label}" viewBox="0 0 {_SIDE} {_SIDE}" '
        f'width="{_SIDE}">{"".join(lines)}</svg><figcaption class=note>{html.escape(name)}; '
        "dashed: as predicted.</figcaption></figure>"
    )
