"""The options ``--where`` and ``--group-by`` of the commands that search; a bad value is misuse."""

from __future__ import annotations

from collections.abc import Collection

import typer

from export.dataset.table import shown
from retrieval_server.attributes.columns import Columns
from retrieval_server.errors import QueryError
from retrieval_server.filters.typed import TypedFilter
from retrieval_server.retrieval.grouping import check_group_by

_WHERE, _GROUP_BY = "--where", "--group-by"


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
        raise typer.BadParameter(str(error), param_hint=_WHERE) from error


def check_columns(where: TypedFilter, group_by: str | None, columns: Columns) -> None:
    """Refuse options that do not suit the columns of an index.

    Args:
        where: the conditions.
        group_by: the column of --group-by, if given.
        columns: the columns of the index.

    Raises:
        typer.BadParameter: naming the condition or the column, and the columns that there are.
    """
    try:
        where.check(columns)
    except QueryError as error:
        raise typer.BadParameter(error.problem, param_hint=_WHERE) from error
    try:
        check_group_by(group_by, columns)
    except QueryError as error:
        raise typer.BadParameter(error.problem, param_hint=_GROUP_BY) from error


def check_column_names(where: TypedFilter, group_by: str | None, names: Collection[str]) -> None:
    """Refuse unknown columns before the catalogue's index is built.

    Args:
        where: the conditions.
        group_by: the column of --group-by, if given.
        names: the further columns of the catalogue.

    Raises:
        typer.BadParameter: naming the condition or the column, and the columns that there are.
    """
    for text, condition in where.conditions.items():
        if condition.column not in names:
            raise _unknown(condition.column, names, _WHERE, f"{text!r}: ")
    if group_by is not None and group_by not in names:
        raise _unknown(group_by, names, _GROUP_BY)


def _unknown(
    column: str, names: Collection[str], option: str, place: str = ""
) -> typer.BadParameter:
    listed = ", ".join(map(shown, names)) or "none"
    return typer.BadParameter(
        f"{place}the catalogue has no column {shown(column)}. Columns: {listed}.",
        param_hint=option,
    )
