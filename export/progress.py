"""Progress of long work, on stderr: a bar in a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LOG_EVERY_S = 15.0
PICTURES_FROM = 50  # fewer pictures are drawn in no time

Item = TypeVar("Item")

Advance = Callable[[int], None]


class _RateColumn(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.1f}/s" if rate else "")


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show the progress of one piece of work.

    Args:
        title: the units, such as "images".
        total: number of units.

    Yields:
        A function to call with the number of units just finished.
    """
    if not sys.stderr.isatty():
        yield _log_lines(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda units: bar.advance(task, units)


def pictures_progress(title: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yield items one by one; show the progress if there are many.

    Args:
        title: the items, such as "queries".
        items: the items of which pictures are made.
    """
    if len(items) < PICTURES_FROM:
        yield from items
        return
    with progress(title, len(items)) as advance:
        for item in items:
            yield item
            advance(1)


def _log_lines(title: str, total: int) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(units: int) -> None:
        nonlocal done, last
        done += units
        now = time.monotonic()
        if done < total and now - last < LOG_EVERY_S:
            return
        last = now
        rate = done / max(now - started, 1e-9)
        left_s = (total - done) / max(rate, 1e-9)
        print(  # noqa: T201 - progress is for stderr
            f"{title}: {done:,} of {total:,}, {rate:,.1f}/s, {left_s:,.0f} s left", file=sys.stderr
        )

    return advance
