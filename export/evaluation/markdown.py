"""An evaluation as Markdown, for a file such as RESULTS.md."""

from __future__ import annotations

from export.evaluation.results import Evaluation
from export.evaluation.sections import Cell, Section, sections


def evaluation_markdown(evaluation: Evaluation, heading: str = "###") -> str:
    """The sections of an evaluation as Markdown tables with their notes.

    Args:
        evaluation: what was found.
        heading: the level of the sections' headings.
    """
    return (
        "".join(
            f"{heading} {_escaped(section.title)}\n\n{_table(section)}\n\n"
            + "".join(f"{_escaped(note)}\n\n" for note in section.notes)
            for section in sections(evaluation)
        ).rstrip("\n")
        + "\n"
    )


def _table(section: Section) -> str:
    rule = [
        " --- " if number in section.texts else " ---: " for number in range(len(section.columns))
    ]
    lines = [f"| {' | '.join(map(_escaped, section.columns))} |", f"|{'|'.join(rule)}|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in section.rows]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    return _escaped(f"{cell.text} ({cell.below})" if cell.below else cell.text)


def _escaped(text: str) -> str:
    """Text without a meaning to Markdown."""
    for character in "\\`*_<|[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
