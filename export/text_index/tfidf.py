"""TF-IDF vectors of descriptions, eq. (3)-(5): w = TF · (ln((1 + N) / (1 + DF)) + 1), L2 norm 1.

The counts are those of scikit-learn's ``CountVectorizer`` over our own terms, the IDF is its
``smooth_idf``.

Every bundle holds the counts, see ``text.term_files``: a server compares the descriptions of
changed products with them, under the same IDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from export.words.counts import count_words
from retrieval_server.text.term_files import open_term_files, smooth_idf, write_term_files
from retrieval_server.text.tokens import Tokeniser


@dataclass(frozen=True)
class TermCounts:
    """Counts of the terms in the descriptions.

    Attributes:
        terms: the vocabulary (V).
        counts: (N, V) int32; the row of a description that is not covered is empty.
        frequencies: (V,) int32, DF, from which the IDF of the vectors is computed.
        documents: N of eq. (4), the rows that were not empty when DF was counted.
    """

    terms: tuple[str, ...]
    counts: scipy.sparse.csr_matrix
    frequencies: NDArray[np.int32]
    documents: int

    @property
    def idf(self) -> NDArray[np.float64]:
        """IDF of eq. (4), (V,) float64; a term of appended descriptions only has DF = 0."""
        return smooth_idf(self.frequencies, self.documents)

    def vectors(self) -> scipy.sparse.csr_matrix:
        """Vectors of eq. (3) and (5), (N, V) float64; a row has L2 norm 1 or is empty."""
        weights = self.counts.data * self.idf[self.counts.indices]
        vectors = scipy.sparse.csr_matrix(
            (weights, self.counts.indices, self.counts.indptr), self.counts.shape
        )
        unit: scipy.sparse.csr_matrix = normalize(vectors, copy=False) if vectors.nnz else vectors
        return unit


def count_terms(texts: Sequence[str], tokeniser: Tokeniser) -> TermCounts:
    """Count the terms of descriptions, and the documents of every term."""
    terms, counts = count_words(texts, tokeniser)
    frequencies = np.bincount(counts.indices, minlength=len(terms)).astype(np.int32)
    return TermCounts(terms, counts, frequencies, int(np.count_nonzero(np.diff(counts.indptr))))


def append_counts(known: TermCounts, texts: Sequence[str], tokeniser: Tokeniser) -> TermCounts:
    """Append descriptions under the IDF of the known ones; new terms get the last columns."""
    terms, counts = count_words(texts, tokeniser)
    column_of = {term: index for index, term in enumerate(known.terms)}
    new = tuple(term for term in terms if term not in column_of)
    column_of.update({term: len(known.terms) + index for index, term in enumerate(new)})
    width = len(known.terms) + len(new)
    column = np.array([column_of[term] for term in terms], dtype=counts.indices.dtype)
    added = scipy.sparse.csr_matrix(
        (counts.data, column[counts.indices], counts.indptr), (counts.shape[0], width)
    )
    old = scipy.sparse.csr_matrix(
        (known.counts.data, known.counts.indices, known.counts.indptr),
        (known.counts.shape[0], width),
    )
    union = scipy.sparse.vstack([old, added], format="csr")
    union.sort_indices()
    frequencies = np.concatenate([known.frequencies, np.zeros(len(new), np.int32)])
    return TermCounts(known.terms + new, union, frequencies, known.documents)


def write_term_counts(folder: Path, counted: TermCounts) -> None:
    """Write the files of ``text.term_files``; overwrites."""
    counts = counted.counts
    write_term_files(
        folder, counted.terms, counted.frequencies, counts.indptr, counts.indices, counts.data
    )


def read_term_counts(folder: Path, documents: int) -> TermCounts:
    """Read what ``write_term_counts`` wrote.

    Args:
        folder: a version of the index.
        documents: N of eq. (4), from its manifest.

    Raises:
        IndexBundleError: if a file is missing or damaged.
    """
    files = open_term_files(folder)
    rows, width = len(files.indptr) - 1, len(files.table)
    return TermCounts(
        tuple(files.table[index] for index in range(width)),
        scipy.sparse.csr_matrix((files.counts, files.terms, files.indptr), (rows, width)),
        files.frequencies,
        documents,
    )
