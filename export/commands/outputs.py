"""Where a command's results go: checked before the work, printed after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer
from rich.console import Console, RenderableType

from export.commands.messages import say
from retrieval_server.command_line.output_file import (
    DASH,
    OutputError,
    check_output,
    is_stdout,
    same_outputs,
)


def check_outputs(files: Mapping[str, Path | None], *, as_json: bool = False) -> None:
    """Refuse outputs that cannot be written, before the work.

    Args:
        files: output file by option; None where the option is not given.
        as_json: whether --json prints the result.

    Raises:
        typer.BadParameter: if two outputs go to one place.
        OutputError: if an output cannot be written.
    """
    outputs = {**files, "--json": DASH if as_json else None}
    if pair := same_outputs(outputs):
        raise typer.BadParameter(
            f"{pair[0]} and {pair[1]} write to the same place. Give one of them another file."
        )
    for path in outputs.values():
        if path is not None:
            check_output(path)


def prints_table(files: Mapping[str, Path | None], *, as_json: bool) -> bool:
    """Check the outputs of a command that prints a table where no output goes to stdout.

    Args:
        files: see ``check_outputs``.
        as_json: see ``check_outputs``.

    Returns:
        Whether the command is to print its table.

    Raises:
        typer.BadParameter: see ``check_outputs``.
        OutputError: if an output or the table cannot be written.
    """
    check_outputs(files, as_json=as_json)
    if as_json or any(map(is_stdout, files.values())):
        return False
    check_output(DASH)
    return True


def say_where(what: str, path: Path) -> None:
    """Say where an output is, unless it was printed."""
    if not is_stdout(path):
        say(f"{what}: {path}")


def print_result(result: RenderableType, kept: str) -> None:
    """Print the result of long work.

    Args:
        result: a text, or a table.
        kept: where the work is kept, and how to print the result again.

    Raises:
        OutputError: if it cannot be printed; says what is kept.
    """
    try:
        if isinstance(result, str):
            typer.echo(result)
        else:
            Console().print(result)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{error} {kept}") from error
