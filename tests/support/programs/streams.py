"""Programs that use their standard streams as the commands do."""

import os
import signal
import sys

import typer
from rich.console import Console
from rich.table import Table

from retrieval_server.command_line.run import run


def print_table() -> None:
    """Print a table and a message on stderr; with an argument, read standard input first."""
    run("beauty-search", ".", lambda: _print_table)


def _print_table() -> None:
    if sys.argv[1:]:
        sys.stdin.buffer.read()
    typer.echo("a message", err=True)
    table = Table("τ of the index", "product")
    table.add_row("0.5", "crème \udcff")
    Console().print(table)


def interrupt_while_importing() -> None:
    """Send Ctrl-C to this process while it loads its command, where an import swallows it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run("beauty-search", ".", _load_slowly)


def _load_slowly() -> object:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("a library failed") from None
    return print_table
