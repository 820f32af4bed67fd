"""Command-line options made from the fields of ``Settings``, for typer.

The server has an option for every field; the offline commands have those of the engine.
"""

from __future__ import annotations

from inspect import Parameter
from typing import Annotated, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from retrieval_server.serving.settings import Setting, Settings, environment_variable

_HINTS = get_type_hints(Settings, include_extras=True)


def setting_option(name: str) -> OptionInfo:
    """Make the option of a setting, with its help, bounds and environment variable.

    Args:
        name: the setting's field in ``Settings``.
    """
    _, setting = get_args(_HINTS[name])
    assert isinstance(setting, Setting)
    option: OptionInfo = typer.Option(
        envvar=environment_variable(name),
        help=setting.help,
        min=setting.min,
        max=setting.max,
        callback=setting.check,
    )
    return option


def setting_parameter(name: str) -> Parameter:
    """Make the parameter of a command that typer reads as the option of a setting.

    Args:
        name: the setting's field in ``Settings``; its default is the parameter's.
    """
    kind, _ = get_args(_HINTS[name])
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=getattr(Settings, name, Parameter.empty),
        annotation=Annotated[kind, setting_option(name)],
    )
