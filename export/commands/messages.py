"""What ``beauty-export`` tells a person, on stderr."""

from __future__ import annotations

import typer


def say(text: str) -> None:
    """Say one thing, on a line of its own."""
    typer.echo(text, err=True)


def warn(text: str) -> None:
    """Say one thing that deserves attention."""
    typer.secho(f"warning: {text}", err=True, fg=typer.colors.YELLOW)
