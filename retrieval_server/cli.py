"""The command line ``beauty-server``: serves an index, checks health, copies models and an index.

The options of serving come from ``Settings``, and with it the search, the engines and numpy. They
are imported only when the server is to run or its help is asked for: a container checks the
server's health every ten seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from retrieval_server.command_line import option_values
from retrieval_server.command_line.outcome import FAILED, one_line_outcome
from retrieval_server.command_line.output_file import OutputError
from retrieval_server.errors import RetrievalError


def health(
    address: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PORT",
            help="Address of a port of the server without TLS.",
            callback=option_values.address,
        ),
    ],
) -> None:
    """Check whether a server can search.

    The exit status is 0 if it can and 1 if it cannot. A server with TLS answers on --health-port.
    """
    from retrieval_server.serving.check_health import health_of

    if (state := health_of(address)) != "SERVING":
        typer.echo(f"{address}: {state}", err=True)
        raise typer.Exit(FAILED)


def models(
    repository: Annotated[
        Path, typer.Argument(metavar="REPOSITORY", help="Model repository to copy from.")
    ],
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="Profile whose models are copied.")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Model repository to write.", callback=option_values.folder
        ),
    ],
) -> None:
    """Copy the models of one profile, and those of the reader if they are exported.

    FOLDER becomes a model repository of its own. The digest of each model goes to stderr.
    """
    from retrieval_server.models.model_repository import ModelRepository
    from retrieval_server.models.reader import copy_reader

    source = ModelRepository(repository)
    for model in (*source.copy_ensemble(profile, output), *copy_reader(source, output)):
        typer.echo(f"{model.name}: {model.digest}", err=True)


def fetch(
    source: Annotated[
        str,
        typer.Argument(metavar="URL", help="Index folder on a web server, with its file current."),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Index folder to write.", callback=option_values.folder
        ),
    ],
) -> None:
    """Copy the current version of an index from a web server.

    Every file is compared with its checksum. A copy that was interrupted is continued.
    """
    from retrieval_server.index.fetch import checked_source, fetch

    try:
        checked = checked_source(source)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from error
    fetched = fetch(checked, output)
    size = f"{fetched.bytes:,} bytes copied" if fetched.bytes else "nothing to do"
    typer.echo(f"{fetched.version} is current in {output}: {size}", err=True)


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "health": (health, "Example: beauty-server health 127.0.0.1:50052"),
    "fetch": (
        fetch,
        "Example: beauty-server fetch https://indexes.example/beauty --output my_index",
    ),
    "models": (
        models,
        "Example: beauty-server models model_repository lite --output build/models",
    ),
}


def create_app(words: Sequence[str] = ()) -> typer.Typer:
    """Put the command line together.

    Args:
        words: what follows ``beauty-server``. If the first one names a command, the app has the
            commands only; otherwise it also has the options of serving.
    """
    app = typer.Typer(
        epilog="Example: beauty-server --index build/demo/index --port 50051",
        subcommand_metavar="| COMMAND [ARGS]...",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for name, (command, example) in COMMANDS.items():
        app.command(name, epilog=example)(command)
    if not words or words[0] not in COMMANDS:
        from retrieval_server.serving.serve_command import serve_command

        app.callback(invoke_without_command=True)(serve_command)
    return app


def run_app(app: typer.Typer) -> None:
    """Run the command line; an error is one line."""
    failures = {RetrievalError: FAILED, OutputError: FAILED}
    with one_line_outcome("beauty-server", "'.[server]'", failures):
        app(prog_name="beauty-server")


def main() -> None:
    """Run the command ``beauty-server`` in this process."""
    run_app(create_app(sys.argv[1:]))
