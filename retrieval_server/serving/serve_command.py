"""The command that serves; its options and environment variables are the fields of ``Settings``."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import fields
from inspect import Parameter, Signature
from typing import Any

import typer

from retrieval_server.serving.served.index_source import NAME_ONE
from retrieval_server.serving.server import serve
from retrieval_server.serving.setting_options import setting_parameter
from retrieval_server.serving.settings import Settings


def serve_command(context: typer.Context, **values: Any) -> None:
    """Serve an index over gRPC until SIGTERM or Ctrl-C, or run a command."""
    if (command := context.invoked_subcommand) is not None:
        raise typer.BadParameter(
            f"{command} is a command of its own and takes none of the options before it."
        )
    if (values["index"] is None) == (values["store"] is None):
        raise typer.BadParameter(NAME_ONE)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    asyncio.run(serve(Settings(**values)))


_CONTEXT = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_OPTIONS = [setting_parameter(each.name) for each in fields(Settings)]
serve_command.__signature__ = Signature([_CONTEXT, *_OPTIONS])  # type: ignore[attr-defined]
