"""Sections, such as those of an evaluation, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from export.evaluation.results import Evaluation
from export.evaluation.sections import Section, sections


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """The sections of an evaluation, one below the other; 80 characters are wide enough."""
    return sections_table(sections(evaluation))


def sections_table(shown: Iterable[Section]) -> RenderableType:
    """Sections one below the other."""
    parts: list[RenderableType] = []
    for section in shown:
        parts += [_table(section), *map(Text, section.notes), Text()]
    return Group(*parts[:-1])


def _table(section: Section) -> Table:
    table = Table(title=section.title, title_style="bold")
    for number, heading in enumerate(section.columns):
        table.add_column(heading, justify="left" if number in section.texts else "right")
    for row in section.rows:
        table.add_row(*(Text(f"{c.text}\n{c.below}" if c.below else c.text) for c in row))
    return table
