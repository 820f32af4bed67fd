"""The process of the command ``beauty-server``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from retrieval_server.command_line.run import run


def main() -> None:
    """Run the command."""
    run("beauty-server", "'.[server]'", _load)


def _load() -> Callable[[], None]:
    from retrieval_server.cli import create_app, run_app

    return partial(run_app, create_app(sys.argv[1:]))


if __name__ == "__main__":
    main()
