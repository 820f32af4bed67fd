"""The command that renders the sample catalogue."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import optional_packages, say
from export.progress import Advance, progress
from retrieval_server.command_line import option_values


def sample(
    output: Annotated[Path, typer.Argument(help="Folder to write.", callback=option_values.folder)],
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
) -> None:
    """Render a catalogue of made-up cosmetics with query photos and ground truth.

    Example: beauty-export sample build/demo/sample
    """
    with optional_packages("The sample needs"):
        from export.sample import write_sample
    with contextlib.ExitStack() as stack:
        advance: Advance | None = None

        def show(done: int, total: int) -> None:
            nonlocal advance
            if advance is None:
                advance = stack.enter_context(progress("pictures", total))
            advance(1)

        folder = write_sample(output, seed=seed, on_progress=show)
    say(f"sample catalogue: {folder}")
