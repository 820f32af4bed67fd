"""Watches a server: one line for each interval, or a table that is drawn anew on a terminal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.errors import RetrievalError
from client.server_status import Activity, ServerStatus
from client.terminal.activity import Interval, StageTimes, interval
from client.terminal.rendering import json_line, plain_line, plain_table

Seen = Interval | RetrievalError
TOO_OLD = "This server does not report its activity: it is older than this command."


def watched(
    ask: Callable[[], ServerStatus],
    every_s: float,
    times: int | None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Seen]:
    """What a server did, first since it started, then in each interval.

    Args:
        ask: asks for the status.
        every_s: seconds between two looks.
        times: how many looks; None for no end.
        sleep: waits.

    Yields:
        The interval, or why the server did not answer. It may answer the next time.

    Raises:
        RetrievalError: if the first look fails, or the server reports no activity.
    """
    before: Activity | None = None
    look = 0
    while times is None or look < times:
        if look:
            sleep(every_s)
        try:
            now = ask()
        except RetrievalError as error:
            if not look:
                raise
            yield error
        else:
            if now.activity is None:
                raise RetrievalError(TOO_OLD)
            yield interval(before, now)
            before = now.activity
        look += 1


def show(seen: Iterator[Seen], console: Console, *, as_json: bool) -> None:
    """Print what is seen: JSON lines, a live table on a terminal, or plain lines elsewhere."""
    if as_json:
        for each in seen:
            print_line(console, _record(each))
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for each in seen:
                live.update(_table(each), refresh=True)
    else:
        for each in seen:
            print_line(console, _line(each))


def print_line(console: Console, line: str) -> None:
    """Print a line that is not wrapped, and send it at once: the output may be a pipe."""
    console.file.write(f"{line}\n")
    console.file.flush()


def _record(seen: Seen) -> str:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    fields = {"error": str(seen)} if isinstance(seen, RetrievalError) else asdict(seen)
    return json_line({"at": now, **fields})


def _line(seen: Seen) -> str:
    now = f"{datetime.now():%H:%M:%S}"
    if isinstance(seen, RetrievalError):
        return f"{now}  {plain_line(str(seen)).plain}"
    facts = "  ".join(f"{name} {value}" for name, value in _facts(seen))
    stages = "  ".join(
        f"{stage.name} {_ms(stage.p50_s)}/{_ms(stage.p99_s)} ms" for stage in seen.stages
    )
    warnings = "".join(f"  warning: {plain_line(warning).plain}" for warning in seen.warnings)
    return f"{now}  {facts}  {stages}{warnings}".rstrip()


def _table(seen: Seen) -> RenderableType:
    if isinstance(seen, RetrievalError):
        return Text(f"{datetime.now():%H:%M:%S}  {plain_line(str(seen)).plain}", style="bold red")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("time", f"{datetime.now():%H:%M:%S}, {seen.seconds:,.1f} s")
    for name, value in _facts(seen):
        facts.add_row(name, plain_line(value))
    warnings = [Text.assemble("warning: ", plain_line(each)) for each in seen.warnings]
    return Group(facts, _stages(seen.stages), *warnings)


def _stages(stages: tuple[StageTimes, ...]) -> Table:
    table = plain_table()
    for name in ("stage", "searches", "mean ms", "median ms", "99 % ms"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in stages:
        figures = map(_ms, (stage.mean_s, stage.p50_s, stage.p99_s))
        table.add_row(plain_line(stage.name), f"{stage.count:,}", *figures)
    return table


def _facts(seen: Interval) -> tuple[tuple[str, str], ...]:
    return (
        ("answered", f"{seen.answered_per_s:.1f}/s"),
        ("failed", f"{seen.failed_per_s:.1f}/s"),
        ("refused", f"{seen.refused_per_s:.1f}/s"),
        ("in progress", f"{seen.in_progress:,}"),
        ("engine", seen.engine),
        ("index", f"{seen.index_version} ({_age(seen.index_age_s)} old)"),
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3g}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
