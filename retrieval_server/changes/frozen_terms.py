"""TF-IDF vectors of eq. (3)-(5) under the vocabulary and the IDF of a version.

A term that the version does not have gets a number behind its vocabulary, and DF = 0.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval_server.changes.sparse_vectors import SparseVector
from retrieval_server.text.term_files import TermFiles, smooth_idf
from retrieval_server.text.tokens import Tokeniser


class FrozenTerms:
    """The vectors of a version's descriptions, and those of others under the same IDF.

    Args:
        files: those of the version's descriptions.
        documents: N of eq. (4).
        tokeniser: splits a description into terms.
    """

    def __init__(self, files: TermFiles, documents: int, tokeniser: Tokeniser) -> None:
        self._files, self._tokeniser = files, tokeniser
        self._idf = smooth_idf(self._files.frequencies, documents)
        self._new_idf = float(smooth_idf(np.zeros(1, np.int32), documents)[0])
        self._new: dict[str, int] = {}

    def vector_of(self, text: str) -> SparseVector:
        """The vector of a description, by the numbers of its terms; one thread at a time."""
        counts: dict[str, int] = {}
        for term in self._tokeniser(text):
            counts[term] = counts.get(term, 0) + 1
        known = self._files.table.find([term.encode("utf-8", "surrogatepass") for term in counts])
        keys = np.array(
            [
                number if number >= 0 else self._new_number(term)
                for term, number in zip(counts, known.tolist(), strict=True)
            ],
            np.int64,
        )
        order = np.argsort(keys)
        return self._unit(keys[order], np.fromiter(counts.values(), np.float64)[order])

    def vector_of_row(self, row: int) -> SparseVector:
        """The vector of a row of the version."""
        span = slice(self._files.indptr[row], self._files.indptr[row + 1])
        terms = self._files.terms[span].astype(np.int64)
        return self._unit(terms, self._files.counts[span].astype(np.float64))

    def cosines(self, vector: SparseVector) -> NDArray[np.float64]:
        """The cosines of a vector and each row of the version, (N,)."""
        entries, starts = self._by_term
        products = np.zeros(len(self._files.indptr) - 1)
        for key, weight in zip(vector.keys.tolist(), vector.weights.tolist(), strict=True):
            if key < len(self._idf):
                found = entries[starts[key] : starts[key + 1]]
                rows = self._rows[found]
                products[rows] += weight * self._idf[key] * self._files.counts[found]
        norms = self._norms
        return np.divide(products, norms, out=products, where=norms > 0)

    def warm_up(self) -> None:
        """Make the lists of rows by term, for which there is no file."""
        _ = self._by_term, self._norms

    def _unit(self, keys: NDArray[np.int64], counts: NDArray[np.float64]) -> SparseVector:
        idf = np.full(len(keys), self._new_idf)
        is_known = keys < len(self._idf)
        idf[is_known] = self._idf[keys[is_known]]
        weights = counts * idf
        norm = math.sqrt(math.fsum((weights * weights).tolist()))
        return SparseVector(keys, weights / norm if norm else weights)

    def _new_number(self, term: str) -> int:
        return self._new.setdefault(term, len(self._idf) + len(self._new))

    @cached_property
    def _rows(self) -> NDArray[np.int32]:
        lengths = np.diff(self._files.indptr)
        return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)

    @cached_property
    def _by_term(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries of the files by term, and where each term begins."""
        terms = np.asarray(self._files.terms)
        starts = np.cumsum(np.bincount(terms, minlength=len(self._idf)))
        return np.argsort(terms, kind="stable"), np.concatenate([[0], starts])

    @cached_property
    def _norms(self) -> NDArray[np.float64]:
        weights = self._files.counts * self._idf[self._files.terms]
        rows = len(self._files.indptr) - 1
        return np.sqrt(np.bincount(self._rows, weights * weights, rows))
