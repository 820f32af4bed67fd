"""The columns of a version and its changes, as the columns of one index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.attributes.columns import MISSING_TRUTH, Column, Columns
from retrieval_server.attributes.values import ColumnKind, number_of, truth_of


class ChangedColumn(Column):
    """A column of a version, followed by the values of changed products.

    Codes have the order of the texts, as in the column of a version. A text stays in the column as
    long as a row has it, whether or not the row is still part of the catalogue.

    Args:
        column: that of the version.
        values: the value of each changed product; None where it is missing.
    """

    def __init__(self, column: Column, values: Sequence[str | None]) -> None:
        self.name, self.kind = column.name, column.kind
        self._column = column
        if column.kind is ColumnKind.TEXT:
            self._join_texts(values)
        else:
            self._join_numbers(values)

    @property
    def missing_code(self) -> int:
        """The code of a missing value in a column of texts or truth values."""
        return self.distinct if self.kind is ColumnKind.TEXT else MISSING_TRUTH

    def codes_of(self, texts: Iterable[str]) -> NDArray[np.unsignedinteger]:
        """The codes of those texts that a row has; see ``Column``.

        Args:
            texts: values, verbatim.
        """
        texts = tuple(texts)
        new = [self._new[text] for text in texts if text in self._new]
        known = self._moved[self._column.codes_of(texts)]
        found: NDArray[np.unsignedinteger] = np.concatenate([known, np.array(new, np.int64)])
        return found.astype(self.values.dtype)

    def text(self, code: int) -> str:
        """The text of a code, from 0 to distinct - 1."""
        place = int(np.searchsorted(self._new_codes, code))
        if place < len(self._new_codes) and self._new_codes[place] == code:
            return self._new_texts[place]
        return self._column.text(code - place)

    def _join_texts(self, values: Sequence[str | None]) -> None:
        texts = sorted({text for text in values if text is not None})
        known = [len(self._column.codes_of([text])) > 0 for text in texts]
        self._new_texts = [
            text for text, is_known in zip(texts, known, strict=True) if not is_known
        ]
        places = np.array([self._place_of(text) for text in self._new_texts], np.int64)
        self._new_codes = places + np.arange(len(places))
        self._new = dict(zip(self._new_texts, self._new_codes.tolist(), strict=True))
        self.distinct = self._column.distinct + len(places)
        counts = np.bincount(places, minlength=self._column.distinct + 1)
        # a code moves up by the number of new texts before its own; that of a missing value by all
        self._moved = np.arange(self._column.distinct + 1) + np.cumsum(counts)
        dtype = np.min_scalar_type(self.distinct)
        codes = {None: self.distinct} | self._new
        for text, is_known in zip(texts, known, strict=True):
            if is_known:
                codes[text] = int(self._moved[self._column.codes_of([text])[0]])
        added = np.fromiter((codes[value] for value in values), dtype, len(values))
        self.missing_count = self._column.missing_count + values.count(None)
        self.values = np.concatenate([self._moved.astype(dtype)[self._column.values], added])

    def _place_of(self, text: str) -> int:
        """How many texts of the version come before a text."""
        first, last = 0, self._column.distinct
        while first < last:
            middle = (first + last) // 2
            if self._column.text(middle) < text:
                first = middle + 1
            else:
                last = middle
        return first

    def _join_numbers(self, values: Sequence[str | None]) -> None:
        is_number = self.kind is ColumnKind.NUMBER
        read, missing = (number_of, np.nan) if is_number else (truth_of, MISSING_TRUTH)
        found = [None if value is None else read(value) for value in values]
        # A compaction can change the kind under a value that was accepted before.
        added = np.array(
            [missing if value is None else value for value in found], self._column.values.dtype
        )
        self.values = np.concatenate([self._column.values, added])
        self.missing_count = self._column.missing_count + found.count(None)
        new = np.unique(added[~self.is_missing(added)])
        self.distinct = self._column.distinct + int(
            np.count_nonzero(~np.isin(new, self._column.values))
        )


class ChangedColumns(Columns):
    """The columns of a version and its changes; each is made when it is first asked for.

    Args:
        columns: those of the version.
        attributes: the values of each changed product, by the name of the column.
    """

    def __init__(self, columns: Columns, attributes: Sequence[dict[str, str]]) -> None:
        self._of_version, self._attributes = columns, attributes
        self._columns = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of the catalogue."""
        return self._of_version.names

    def __getitem__(self, name: str) -> Column:
        """The column of a name; KeyError if there is none."""
        if name not in self._columns:
            values = [attributes.get(name) for attributes in self._attributes]
            self._columns[name] = ChangedColumn(self._of_version[name], values)
        return self._columns[name]

    def lengths(self) -> set[int]:
        """The number of rows; none without columns."""
        return {count + len(self._attributes) for count in self._of_version.lengths()}
