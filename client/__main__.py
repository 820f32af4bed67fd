"""The process of the command ``beauty-search``."""

from collections.abc import Callable

from retrieval_server.command_line.run import run


def main() -> None:
    """Run the command."""
    run("beauty-search", ".", _load)


def _load() -> Callable[[], None]:
    from client.cli import main as command

    return command


if __name__ == "__main__":
    main()
