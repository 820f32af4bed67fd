"""TF-IDF vectors of eq. (3)-(5) under the vocabulary and the IDF of a version.

A term that the version does not have gets a number behind its vocabulary, and DF = 0.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

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
        lists = self._lists
        products = np.zeros(len(lists.norms))
        for key, weight in zip(vector.keys.tolist(), vector.weights.tolist(), strict=True):
            if key < len(self._idf):
                span = slice(lists.starts[key], lists.starts[key + 1])
                products[lists.rows[span]] += weight * self._idf[key] * lists.counts[span]
        return np.divide(products, lists.norms, out=products, where=lists.norms > 0)

    def warm_up(self) -> None:
        """Make what ``cosines`` reads, for which there is no file; may run beside other calls."""
        _ = self._lists

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
    def _lists(self) -> _Lists:
        """The rows by term; who asks while another thread makes them waits."""
        files = self._files
        lengths = np.diff(files.indptr)
        rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        weights = files.counts * self._idf[files.terms]
        by_term = np.argsort(files.terms, kind="stable")
        counts = np.bincount(files.terms, minlength=len(self._idf))
        return _Lists(
            rows[by_term],
            files.counts[by_term],
            np.concatenate([[0], np.cumsum(counts)]),
            np.sqrt(np.bincount(rows, weights * weights, len(lengths))),
        )


class _Lists(NamedTuple):
    """The rows of a version by term.

    Attributes:
        rows: (E,) those of each term, ascending.
        counts: (E,) how often they have it.
        starts: (V + 1,) where the rows of a term begin, and the end.
        norms: (N,) length of the vector of each row.
    """

    rows: NDArray[np.int32]
    counts: NDArray[np.int32]
    starts: NDArray[np.int64]
    norms: NDArray[np.float64]
