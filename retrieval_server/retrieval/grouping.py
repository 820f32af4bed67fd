"""The groups of an index's images by a column: a result then is the best image of each value.

An image without a value is a group of its own. Both stages of Algorithm 1 count groups: k of them
are seeds, top_k of them are the result, and a text neighbour of a seed's group brings nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column, Columns
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.errors import QueryError
from retrieval_server.exact_search.groups import Groups
from retrieval_server.filters.column_errors import ColumnErrors
from retrieval_server.filters.expression import AllOf, Equals, NoneOf
from retrieval_server.index.searched_index import AllowedRows
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import Match


class ColumnGroups:
    """The groups by each column of an index, made when a search first asks for them.

    Any number of threads may ask.

    Args:
        columns: the columns of the index.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._groups: dict[str, Groups] = {}

    def check(self, name: str | None) -> None:
        """Check that there is a column, if one is named.

        Raises:
            QueryError: if there is none of this name, or the index has no values to group by.
        """
        if name is None:
            return
        if name not in self._columns.names:
            raise ColumnErrors(self._columns, "group_by").no_such_column(name)
        if not self._columns.has_values:
            raise QueryError(
                "group_by", "is not possible here: this index is in a store, which has no groups."
            )

    def by(self, name: str | None) -> Groups | None:
        """The groups by a column; None for no column.

        Raises:
            QueryError: if there is no such column.
        """
        if name is None:
            return None
        if name not in self._groups:
            self.check(name)
            self._groups[name] = _groups_by(self._columns[name])
        return self._groups[name]


def _groups_by(column: Column) -> Groups:
    missing = column.is_missing(column.values)
    present: NDArray[np.integer] = column.values[~missing]
    if column.kind is not ColumnKind.TEXT:  # texts are numbered already
        _, present = np.unique(present, return_inverse=True)
    numbers = np.empty(len(missing), np.int32)
    numbers[~missing] = present
    count = column.distinct + column.missing_count
    numbers[missing] = np.arange(column.distinct, count)
    return Groups(numbers, count)


def with_group_sizes(
    matches: Iterable[Match],
    groups: Groups,
    allowed: AllowedRows | None,
    exclude: int | None,
) -> tuple[Match, ...]:
    """Matches with the number of images of their group that may be found.

    Args:
        matches: the best images of groups.
        groups: the groups.
        allowed: which images may be found; None for all.
        exclude: a further row to leave out.
    """
    return tuple(
        replace(match, group_size=_size(groups, match.row, allowed, exclude)) for match in matches
    )


def without_product_of(
    parameters: SearchParameters, columns: Columns, row: int
) -> SearchParameters:
    """Parameters with a filter that no image of a row's product passes.

    Args:
        parameters: how to search.
        columns: the columns of the index, ``PRODUCT_COLUMN`` among them.
        row: an image; without a product, it is left out by itself, and nothing changes here.
    """
    column = columns[PRODUCT_COLUMN]
    code = int(column.values[row])
    if code == column.missing_code:
        return parameters
    others = NoneOf((Equals(PRODUCT_COLUMN, column.text(code)),))
    wanted = parameters.filter
    return replace(parameters, filter=others if wanted is None else AllOf((wanted, others)))


def _size(groups: Groups, row: int, allowed: AllowedRows | None, exclude: int | None) -> int:
    rows = groups.rows_of(int(groups.numbers[row]))
    if exclude is not None:
        rows = rows[rows != exclude]
    return len(rows) if allowed is None else int(np.count_nonzero(allowed[rows]))
