"""The command ``beauty-server``; says what to install where only another room is."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or name the package that is missing."""
    try:
        from retrieval_server.cli import main as run

        run()
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: beauty-server needs {error.name}. Install it with: pip install '.[server]'"
        )


if __name__ == "__main__":
    main()
