"""What ``beauty-export`` tells a person, on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import typer


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
