"""The command that serves; its options and environment variables are the fields of ``Settings``."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args, get_type_hints

import typer

from retrieval_server.errors import RetrievalError
from retrieval_server.serving.server import serve
from retrieval_server.serving.settings import Setting, Settings, environment_variable


def serve_command(context: typer.Context, **values: Any) -> None:
    """Serve an index over gRPC until SIGTERM or Ctrl-C, or run a command."""
    if (command := context.invoked_subcommand) is not None:
        raise typer.BadParameter(
            f"{command} is a command of its own and takes none of the options before it."
        )
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        asyncio.run(serve(Settings(**values)))
    except RetrievalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _signature() -> Signature:
    """The parameters that typer makes options of, one for each setting."""
    hints = get_type_hints(Settings, include_extras=True)
    context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    options = []
    for each in fields(Settings):
        kind, setting = get_args(hints[each.name])
        assert isinstance(setting, Setting)
        option = typer.Option(
            envvar=environment_variable(each.name),
            help=setting.help,
            min=setting.min,
            max=setting.max,
        )
        options.append(
            Parameter(
                each.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if each.default is MISSING else each.default,
                annotation=Annotated[kind, option],
            )
        )
    return Signature([context, *options])


serve_command.__signature__ = _signature()  # type: ignore[attr-defined]
