"""The columns of an index in a store: what is known of them without their values.

They are columns of no rows, so that the conditions of a filter are checked by the code that checks
them for an index of our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import Column, ColumnRecord, Columns
from retrieval_server.attributes.values import ColumnKind


class StoredColumn(Column):
    """A column of an index in a store.

    Args:
        record: the manifest's.
        texts: the texts of the column in ascending order; empty where they are many.
    """

    def __init__(self, record: ColumnRecord, texts: Sequence[str]) -> None:
        self.name, self.kind = record.name, record.kind
        self.distinct, self.missing_count = record.distinct, record.missing
        is_number = record.kind is ColumnKind.NUMBER
        self.values = np.empty(0, np.float64 if is_number else np.uint32)
        self._few_texts = texts

    @property
    def missing_code(self) -> int:
        """The code of a missing value; no row of this column has one."""
        return self.distinct

    def codes_of(self, texts: Iterable[str]) -> NDArray[np.unsignedinteger]:
        """The codes of those texts that a row has: none, because this column has no rows.

        Args:
            texts: values, verbatim.
        """
        return np.empty(0, np.uint32)

    def text(self, code: int) -> str:
        """The text of a code, where the column has few."""
        return self._few_texts[code]


class StoredColumns(Columns):
    """The columns of an index in a store.

    Args:
        records: the manifest's, in the order of the catalogue.
        texts: the texts of the columns that have few, by their number.
    """

    def __init__(self, records: Sequence[ColumnRecord], texts: Mapping[int, Sequence[str]]) -> None:
        self._columns = {
            record.name: StoredColumn(record, texts.get(number, ()))
            for number, record in enumerate(records)
        }
