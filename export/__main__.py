"""The process of the command ``beauty-export``."""

from __future__ import annotations

from collections.abc import Callable

from retrieval_server.command_line.run import run


def main() -> None:
    """Run the command."""
    run("beauty-export", "'.[export]'", _load)


def _load() -> Callable[[], None]:
    from export.cli import main as command

    return command


if __name__ == "__main__":
    main()
