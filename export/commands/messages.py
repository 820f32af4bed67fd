"""Messages of ``beauty-export`` to a person, on stderr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from retrieval_server.command_line.run import exit_at_interrupt
from retrieval_server.errors import RetrievalError


@dataclass(frozen=True)
class Message:
    """One line for a person.

    Attributes:
        text: what it says.
        is_warning: whether it is printed as a warning.
    """

    text: str
    is_warning: bool = False


def tell(messages: Iterable[Message]) -> None:
    """Print messages in their order, each on a line of its own."""
    for message in messages:
        (warn if message.is_warning else say)(message.text)


def say(text: str) -> None:
    """Print a line."""
    typer.echo(text, err=True)


def warn(text: str) -> None:
    """Print a line that deserves attention."""
    typer.secho(f"warning: {text}", err=True, fg=typer.colors.YELLOW)


def left_out_query(image: str, problem: str) -> str:
    """Say that a query does not count.

    Args:
        image: name of its file.
        problem: why it cannot be read.
    """
    return f"query {image} {problem} It is left out of every figure."


@contextmanager
def optional_packages(need: str) -> Iterator[None]:
    """Turn the import of a missing package into an error that says how to install it.

    Args:
        need: begins the message, such as "Pictures need"; the package's name follows.

    Raises:
        RetrievalError: if an import in the block fails.
    """
    try:
        with exit_at_interrupt():
            yield
    except ModuleNotFoundError as error:
        raise RetrievalError(
            f"{need} {error.name}. Install it with: pip install '.[export]'"
        ) from error
