"""What a product must be to enter an index: the columns and their kinds are those of the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrieval_server.attributes.columns import Columns
from retrieval_server.attributes.values import ColumnKind, number_of, truth_of
from retrieval_server.errors import QueryError
from retrieval_server.filters.column_errors import ColumnErrors
from retrieval_server.index.product import Product
from retrieval_server.text.language_filter import ENGLISH, KEEP_ALL, LanguageFilter
from retrieval_server.text.plain_text import plain_text

MAX_ID_CHARACTERS = 1_000
MAX_DESCRIPTION_CHARACTERS = 100_000
MAX_VALUE_CHARACTERS = 10_000  # of a further column, and of the path of an image
ATTRIBUTES = "attributes"
SHOWN_CHARACTERS = 60  # of a value in a message
_EXAMPLES = {
    ColumnKind.NUMBER: "numbers: write it like 12.50, without a currency",
    ColumnKind.TRUTH: "truth values: write true or false",
}


def checked_product(
    product_id: str,
    description: str,
    image: str,
    attributes: Mapping[str, str],
    columns: Columns,
) -> Product:
    """A product as the index has it.

    Args:
        product_id: its id; spaces around it do not count.
        description: with or without markup.
        image: where its image is.
        attributes: values of further columns; an empty one is none.
        columns: those of the index.

    Raises:
        QueryError: if the id is empty, a text is too long, or a column is not in the index or
            cannot hold the value.
    """
    product_id = product_id.strip()
    if not product_id:
        raise QueryError("product_id", "is empty. Every product needs an id.")
    _check_length("product_id", product_id, MAX_ID_CHARACTERS)
    _check_length("description", description, MAX_DESCRIPTION_CHARACTERS)
    _check_length("image_path", image, MAX_VALUE_CHARACTERS)
    values = {name: text for name, text in attributes.items() if text.strip()}
    for name, text in values.items():
        if name not in columns.names:
            raise ColumnErrors(columns, ATTRIBUTES).no_such_column(name)
        _check_length(f"{ATTRIBUTES}[{name!r}]", text, MAX_VALUE_CHARACTERS)
        _check_kind(name, text, columns)
    ordered = {name: values[name] for name in columns.names if name in values}
    return Product(product_id, plain_text(description), image, ordered)


def covers(language_filter: str) -> Callable[[str], bool]:
    """What tells whether a description gets a list of similar ones.

    Args:
        language_filter: that of the index.

    Raises:
        ModuleNotFoundError: if the packages of the filter are not installed.
    """
    if language_filter == KEEP_ALL:
        return lambda _: True
    language = LanguageFilter().language
    return lambda text: language(text) == ENGLISH


def _check_length(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise QueryError(field, f"has {len(text):,} characters; at most {most:,} are accepted.")


def _check_kind(name: str, text: str, columns: Columns) -> None:
    kind = columns[name].kind
    if (kind is ColumnKind.NUMBER and number_of(text) is None) or (
        kind is ColumnKind.TRUTH and truth_of(text) is None
    ):
        shown = repr(text[:SHOWN_CHARACTERS])
        raise QueryError(
            ATTRIBUTES,
            f"{shown} cannot stand in the column {name!r}, which holds {_EXAMPLES[kind]}.",
        )
