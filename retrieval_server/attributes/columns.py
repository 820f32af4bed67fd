"""The format of a column, its writer and its reader.

A catalogue's column number n, counted from 0 in the order of the manifest:

=======================  =============  ==========================================================
file                     dtype          content
=======================  =============  ==========================================================
``columns.<n>.npy``      by kind        (N,), the value of each row
texts                    uint8, uint16  the code of the text; the number of different texts where
                         or uint32      it is missing. The narrowest type that holds this number
numbers                  float64        the number; NaN where it is missing
truth values             uint8          0 is false, 1 is true, 2 is missing
``columns.<n>.strings``  string table   columns of texts only: the text of each code, ascending by
                                        its UTF-8 bytes, so that codes and texts have one order
=======================  =============  ==========================================================

The column ``product`` is of texts, whatever its values: 1e3 and 1000 are two names.

The manifest holds a ``ColumnRecord`` for each column. A column's name can be any text, so it does
not occur in the name of a file.

A result shows the catalogue's own text of all values of one row; the string table ``attributes``
holds these, row by row. The columns hold what filters compare: the values of all rows, column by
column, at most 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.attributes.values import ColumnKind, kind_of, number_of, stray_value, truth_of
from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD, open_array
from retrieval_server.storage.string_table import StringTable, write_string_table

MISSING_TRUTH = 2
CHARACTERS_SHOWN = 40  # of a value in a warning


@dataclass(frozen=True)
class ColumnRecord:
    """What the manifest records about a column.

    Attributes:
        name: the catalogue's name of the column.
        kind: what its values are.
        distinct: number of different values.
        missing: number of products without a value.
        stray: of a column of texts that was meant to be of numbers, a value that is none; empty
            for other columns.
    """

    name: str
    kind: ColumnKind
    distinct: int
    missing: int
    stray: str = ""

    @property
    def warning(self) -> str:
        """Why the column is not of numbers, as it was meant to be; empty if it was not meant so."""
        if not self.stray:
            return ""
        value = self.stray
        if len(value) > CHARACTERS_SHOWN:
            value = value[:CHARACTERS_SHOWN] + "…"
        return (
            f"The column {self.name!r} holds texts, not numbers, because of {value!r}. Write "
            "numbers like 12.50, without a currency, and nothing where there is no number."
        )

    def to_json(self) -> dict[str, Any]:
        """This record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ColumnRecord:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: if the kind is unknown.
            TypeError: if the fields are others.
        """
        return cls(**{**data, "kind": ColumnKind(data["kind"])})


class Column:
    """A column of an index, opened by memory map.

    Args:
        folder: folder of the bundle.
        number: of the column in the manifest.
        record: the manifest's.

    Attributes:
        name: the catalogue's name of the column.
        kind: what its values are.
        values: (N,), the value of each row, as the format has it; read-only.
        distinct: number of different values.
        missing_count: number of rows without a value.

    Raises:
        IndexBundleError: if a file is missing or damaged, or does not match the manifest.
    """

    def __init__(self, folder: Path, number: int, record: ColumnRecord) -> None:
        self.name, self.kind = record.name, record.kind
        self.distinct, self.missing_count = record.distinct, record.missing
        self.values = open_array(
            folder / f"{_stem(number)}.npy", _dtype(record.kind, record.distinct), 1
        )
        self._texts = (
            StringTable(folder, _table(number)) if record.kind is ColumnKind.TEXT else None
        )
        if self._texts is not None and len(self._texts) != record.distinct:
            raise IndexBundleError(
                f"The texts of the column {record.name!r} in {folder} do not match the manifest "
                f"({record.distinct:,} different texts). {REBUILD}"
            )

    @property
    def missing_code(self) -> int:
        """The code of a missing value in a column of texts or truth values."""
        return MISSING_TRUTH if self._texts is None else self.distinct

    def is_missing(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values stand for a missing one, (m,).

        Args:
            values: (m,) some of ``values``.
        """
        is_number = self.kind is ColumnKind.NUMBER
        missing: NDArray[np.bool_] = np.isnan(values) if is_number else values == self.missing_code
        return missing

    def codes_of(self, texts: Iterable[str]) -> NDArray[np.unsignedinteger]:
        """The codes of those texts that a row has, as ``values`` holds them.

        Args:
            texts: values, verbatim.
        """
        assert self._texts is not None, "only columns of texts have codes"
        codes = self._texts.find([text.encode("utf-8", "surrogatepass") for text in texts])
        found: NDArray[np.unsignedinteger] = codes[codes >= 0].astype(self.values.dtype)
        return found

    def text(self, code: int) -> str:
        """The text of a code, from 0 to distinct - 1."""
        assert self._texts is not None, "only columns of texts have codes"
        return self._texts[code]


class Columns:
    """The columns of an index.

    Args:
        folder: folder of the bundle.
        records: the manifest's, in the order of the catalogue.

    Raises:
        IndexBundleError: if a file is missing or damaged, or does not match the manifest.
    """

    def __init__(self, folder: Path, records: Sequence[ColumnRecord]) -> None:
        self._columns = {
            record.name: Column(folder, number, record) for number, record in enumerate(records)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of the catalogue."""
        return tuple(self._columns)

    def __getitem__(self, name: str) -> Column:
        """The column of a name.

        Raises:
            KeyError: if there is none.
        """
        return self._columns[name]

    def lengths(self) -> set[int]:
        """The numbers of rows that the columns have; one number, if they belong together."""
        return {len(column.values) for column in self._columns.values()}


def write_column(
    folder: Path, number: int, name: str, values: Sequence[str | None]
) -> ColumnRecord:
    """Write a column; overwrites.

    Args:
        folder: folder of the bundle.
        number: of the column in the manifest.
        name: the catalogue's name of the column.
        values: the text of each row; None where it is missing.

    Returns:
        What the manifest records.
    """
    texts = [text for text in dict.fromkeys(values) if text is not None]
    is_name = name == PRODUCT_COLUMN
    kind = ColumnKind.TEXT if is_name else kind_of(texts)
    stray = ""
    coded: dict[str | None, Any]
    if kind is ColumnKind.NUMBER:
        coded = {text: number_of(text) for text in texts} | {None: np.nan}
    elif kind is ColumnKind.TRUTH:
        coded = {text: truth_of(text) for text in texts} | {None: MISSING_TRUTH}
    else:
        stray = "" if is_name else stray_value(texts)
        texts.sort()  # by code point, which is the order of UTF-8 bytes
        write_string_table(folder, _table(number), texts)
        coded = {text: code for code, text in enumerate(texts)} | {None: len(texts)}
    distinct = len(set(coded.values())) - 1  # 12.5 and 12.50 are one number
    dtype = _dtype(kind, distinct)
    np.save(
        folder / f"{_stem(number)}.npy",
        np.fromiter((coded[value] for value in values), dtype, len(values)),
    )
    return ColumnRecord(name, kind, distinct, values.count(None), stray)


def _dtype(kind: ColumnKind, distinct: int) -> np.dtype[Any]:
    if kind is ColumnKind.NUMBER:
        return np.dtype(np.float64)
    return np.min_scalar_type(MISSING_TRUTH if kind is ColumnKind.TRUTH else distinct)


def _stem(number: int) -> str:
    return f"columns.{number}"


def _table(number: int) -> str:
    return f"{_stem(number)}.strings"
