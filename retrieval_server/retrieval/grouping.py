"""Results grouped by a column of the index: each is the best image of one value.

An image without a value is a group of its own. Both stages of Algorithm 1 count groups: k of them
are seeds, top_k of them are the result, and a text neighbour of a seed's group brings nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from retrieval_server.attributes.columns import Columns
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.exact_search.groups import AllowedRows, RowGroups
from retrieval_server.filters.column_errors import ColumnErrors
from retrieval_server.filters.expression import AllOf, Equals, NoneOf
from retrieval_server.index.product import Product
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import Match


def check_group_by(name: str | None, columns: Columns) -> None:
    """Check that there is a column, if one is named.

    Args:
        name: of the column; None for none.
        columns: those of the index.

    Raises:
        QueryError: if there is none of this name.
    """
    if name is not None and name not in columns.names:
        raise ColumnErrors(columns, "group_by").no_such_column(name)


def groups_of(index: SearchedIndex, name: str | None) -> RowGroups | None:
    """The groups by a column of an index; None for no column.

    Args:
        index: the index.
        name: of the column; None for none.

    Raises:
        QueryError: if there is no such column.
    """
    check_group_by(name, index.columns)
    return None if name is None else index.groups_by(name)


def with_group_sizes(
    matches: Iterable[Match],
    groups: RowGroups,
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
        replace(match, group_size=groups.size(match.row, allowed, exclude)) for match in matches
    )


def without_images_of(parameters: SearchParameters, product: Product) -> SearchParameters:
    """Parameters with a filter that no image of a product passes.

    Args:
        parameters: how to search.
        product: what the catalogue says of one of its images; if it names no product in
            ``PRODUCT_COLUMN``, the image is left out by itself, and nothing changes here.
    """
    name = product.attributes.get(PRODUCT_COLUMN)
    if name is None:
        return parameters
    others = NoneOf((Equals(PRODUCT_COLUMN, name),))
    wanted = parameters.filter
    return replace(parameters, filter=others if wanted is None else AllOf((wanted, others)))
