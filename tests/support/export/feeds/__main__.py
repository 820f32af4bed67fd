"""Prints what comes out of each dialect, which `make try-feeds` runs; fails if any is wrong."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.support.export.feeds.dialects import DIALECTS
from tests.support.export.feeds.trial import Result, Trials

INDEX = "the plain catalogue's index"


def try_feeds(
    sample: Annotated[Path, typer.Argument(help="Folder of the sample catalogue.")],
    model_repository: Annotated[Path, typer.Option(help="Folder of the models.")],
    profile: Annotated[str, typer.Option(help="Profile of the models.")],
) -> None:
    """Build an index from every dialect of the sample catalogue, and judge what comes out."""
    options = ("--profile", profile, "--model-repository", model_repository)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder) / "trials", sample, options)
        results = [trials.result(dialect) for dialect in DIALECTS]
    print_results(results)
    raise typer.Exit(int(any(result.wrong for result in results)))


def print_results(results: Sequence[Result]) -> None:
    """Print a row for each dialect, and the counts of the outcomes."""
    table = Table("Dialect", "What came out")
    for result in results:
        outcome = f"WRONG: {result.wrong}" if result.wrong else result.refusal or INDEX
        style = "red" if result.wrong else "dim" if result.refusal else "green"
        table.add_row(Text(result.dialect), Text(outcome, style))
    wrong = sum(bool(result.wrong) for result in results)
    refused = sum(bool(result.refusal and not result.wrong) for result in results)
    console = Console()
    console.print(table)
    console.print(
        f"{len(results)} dialects: {len(results) - wrong - refused} give {INDEX}, {refused} one "
        f"clear line, {wrong} wrong",
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(try_feeds)
