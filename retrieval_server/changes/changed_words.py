"""Compares the words of a query with the texts of a version and of its changes.

The IDF of a gram is that of the version, and DF is 0 for a gram that only changed texts have. Such
a gram counts for the length of the query's vector as long as one of these texts is there.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval_server.changes.sparse_vectors import GrowingVectors, SparseVector, SparseVectors
from retrieval_server.text.grams import grams_of
from retrieval_server.text.inverted_file import InvertedFile, nonzero
from retrieval_server.text.word_search import RULES, TextCosines, WordSearch


class ChangedField:
    """A field of the texts of changed products; one thread appends, any number reads.

    Args:
        name: of the field.
        file: the texts of the version.
    """

    def __init__(self, name: str, file: InvertedFile) -> None:
        self.rule, self.file = RULES[name], file
        self._vectors, self._new = GrowingVectors(), GrowingVectors()

    def append(self, text: str) -> None:
        """Append the text of a product."""
        _, codes = grams_of([text], self.rule)
        grams, weights = self.file.weights_of(codes)
        norm = np.sqrt(np.sum(weights * weights))
        self._vectors.append(SparseVector(grams, weights / norm if norm else weights))
        is_new = ~self.file.knows(grams)
        self._new.append(SparseVector(grams[is_new], weights[is_new]))

    def read(self) -> tuple[SparseVectors, SparseVectors]:
        """The unit vectors that there are now, and their grams that the version does not have."""
        return self._vectors.read(), self._new.read()


class ChangedTextFields:
    """All fields of the texts of changed products.

    Args:
        words: compares words with the texts of the version.
    """

    def __init__(self, words: WordSearch) -> None:
        self.fields = {name: ChangedField(name, file) for name, file in words.files.items()}

    def append(self, texts: dict[str, str]) -> None:
        """Append the texts of a product, by field."""
        for name, field in self.fields.items():
            field.append(texts[name])


class ChangedWords:
    """Compares words with all products at one position of the log.

    Args:
        texts: those of changed products.
        rows: number of rows of the version.
        is_there: (N + M,) whether a row is part of the catalogue.
    """

    def __init__(self, texts: ChangedTextFields, rows: int, is_there: NDArray[np.bool_]) -> None:
        self._rows, self._is_there = rows, is_there
        self._fields = [(field, *field.read()) for field in texts.fields.values()]

    def cosines(self, words: str) -> TextCosines:
        """Compare words with the texts of all products; see ``WordSearch``."""
        largest = np.zeros(len(self._is_there))
        for field, vectors, new in self._fields:
            _, codes = grams_of([words], field.rule)
            grams, weights = field.file.weights_of(codes)
            elsewhere = new.keys_of(grams, self._is_there[self._rows :])
            length = field.file.raise_to_cosines(codes, largest[: self._rows], elsewhere)
            counts = field.file.knows(grams) | np.isin(grams, elsewhere)
            query = SparseVector(grams[counts], weights[counts])
            if length:
                cosines = np.minimum(vectors.inner_products(query) / length, 1.0)
                np.maximum(largest[self._rows :], cosines, out=largest[self._rows :])
        largest[self._gone] = 0
        return TextCosines(*nonzero(largest))

    @cached_property
    def _gone(self) -> NDArray[np.int64]:
        """The rows that are not part of the catalogue any more."""
        return np.flatnonzero(~self._is_there)
