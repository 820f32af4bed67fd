"""The option ``--where`` of the commands that search an index; a bad condition is misuse."""

from __future__ import annotations

from collections.abc import Collection

import typer

from export.dataset.table import shown
from retrieval_server.attributes.columns import Columns
from retrieval_server.errors import QueryError
from retrieval_server.filters.typed import TypedFilter

_HINT = "--where"


def typed_filter(conditions: list[str] | None) -> TypedFilter:
    """Read conditions, all of which hold.

    Args:
        conditions: as given to --where, if at all.

    Raises:
        typer.BadParameter: naming the one that cannot be read, and the place in it.
    """
    try:
        return TypedFilter.of_texts(conditions or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=_HINT) from error


def check_columns(where: TypedFilter, columns: Columns) -> None:
    """Refuse conditions that do not suit the columns of an index.

    Args:
        where: the conditions.
        columns: the columns of the index.

    Raises:
        typer.BadParameter: naming the condition, and the columns that there are.
    """
    try:
        where.check(columns)
    except QueryError as error:
        raise typer.BadParameter(error.problem, param_hint=_HINT) from error


def check_column_names(where: TypedFilter, names: Collection[str]) -> None:
    """Refuse conditions on unknown columns before the catalogue's index is built.

    Args:
        where: the conditions.
        names: the further columns of the catalogue.

    Raises:
        typer.BadParameter: naming the condition, and the columns that there are.
    """
    for text, condition in where.conditions.items():
        if condition.column not in names:
            listed = ", ".join(map(shown, names)) or "none"
            raise typer.BadParameter(
                f"{text!r}: the catalogue has no column {shown(condition.column)}. Columns: "
                f"{listed}.",
                param_hint=_HINT,
            )
