"""What the commands share: a connection whose errors are one line, and lines on stderr."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from client.errors import RetrievalError
from client.retrieval_client import RetrievalClient
from client.terminal import rendering
from client.terminal.option_groups import Connection
from retrieval_server.command_line.outcome import FAILED


@contextmanager
def connected(connection: Connection) -> Iterator[RetrievalClient]:
    """Open a client; a RetrievalError inside ends the command with one line and status 1."""
    try:
        with connection.client() as client:
            yield client
    except RetrievalError as error:
        print_aside(f"error: {error}", "bold red")
        raise typer.Exit(FAILED) from error


def print_warnings(warnings: Iterable[str]) -> None:
    """Print warnings, one line each."""
    for warning in warnings:
        print_aside(f"WARNING: {warning}", "bold yellow")


def print_aside(text: str, style: str, stderr: Console | None = None) -> None:
    """Print one line on stderr, never wrapped.

    Args:
        text: the line.
        style: of rich.
        stderr: the console, where there is one already.
    """
    line = rendering.plain_line(text)
    line.stylize(style)
    (stderr or Console(stderr=True)).print(line, soft_wrap=True)
