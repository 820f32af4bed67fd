"""Posting lists of sparse unit vectors, without the entries that cannot reach the threshold.

Terms are renumbered by frequency and each row is ordered from its rarest term to its commonest;
``norm(x, t)`` is the norm of row x from term t on. If t is the rarest term that x and y share, all
other shared terms are commoner, so by Cauchy-Schwarz

    cos(x, y) ≤ norm(x, t) · norm(y, t).

Hence the list of t holds a row only if the norm of the row from t on exceeds τ (the prefix filter
of Bayardo, Ma, Srikant, WWW 2007), and in a list ordered by falling norm the partners of a row are
one range. Every pair above τ is found in the list of its rarest shared term.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import NDArray

NORM_BUCKETS = 2048  # the order of a list by norm is as fine as this, so a counting sort is enough
BUCKET_WIDTH = np.float32(1 / (NORM_BUCKETS - 1))
_ROUNDING = 1 + 1e-6  # keeps a norm an upper bound when it is rounded to float32


class PostingLists(NamedTuple):
    """Rows and posting lists; a named tuple, as compiled code takes it.

    Attributes:
        indptr: (N + 1,) int64, spans of the rows.
        terms: (nnz,) int32, terms of each row, rarest first; a larger number is a rarer term.
        weights: (nnz,) float64.
        offsets: (V + 1,) int64, spans of the lists.
        rows: (M,) int32, rows of each list by falling norm.
        positions: (M,) int32, position of the list's term in the row.
        norms: (M,) float32, norm of the row from that position on, rounded up.
    """

    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: NDArray[np.float64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    positions: NDArray[np.int32]
    norms: NDArray[np.float32]


def term_frequencies(vectors: scipy.sparse.csr_matrix) -> NDArray[np.int64]:
    """How many rows have each term, (V,) int64."""
    return np.bincount(vectors.indices, minlength=vectors.shape[1])


def posting_lists(
    vectors: scipy.sparse.csr_matrix, lower_bound: float, frequencies: NDArray[np.int64]
) -> PostingLists:
    """Build lists such that every pair with a cosine above a bound shares one.

    Args:
        vectors: (N, V) float64, each row of L2 norm 1 or empty; no term twice in a row.
        lower_bound: the bound.
        frequencies: (V,) tells rare terms from common ones.
    """
    rank = np.empty(vectors.shape[1], np.int32)
    rank[np.argsort(-frequencies, kind="stable")] = np.arange(len(rank), dtype=np.int32)
    rarest_first = scipy.sparse.csr_matrix(
        (vectors.data.copy(), len(rank) - 1 - rank[vectors.indices], vectors.indptr), vectors.shape
    )
    rarest_first.sort_indices()
    indptr = vectors.indptr.astype(np.int64)
    terms = (len(rank) - 1 - rarest_first.indices).astype(np.int32)
    weights = rarest_first.data
    norms = _tail_norms(indptr, weights)
    lists = _lists(indptr, terms, norms, len(rank), np.float32(lower_bound))
    return PostingLists(indptr, terms, weights, *lists)


@njit(cache=True, nogil=True)
def _tail_norms(indptr: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """For every entry, the norm of its row from this entry on, rounded up."""
    norms = np.empty(len(weights), np.float32)
    for row in range(len(indptr) - 1):
        squares = 0.0
        for position in range(indptr[row + 1] - 1, indptr[row] - 1, -1):
            squares += weights[position] * weights[position]
            norms[position] = np.float32(np.sqrt(squares) * _ROUNDING)
    return norms


@njit(cache=True, nogil=True)
def _lists(
    indptr: NDArray[np.int64],
    terms: NDArray[np.int32],
    norms: NDArray[np.float32],
    term_count: int,
    lower_bound: np.float32,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """The lists of the entries whose norm exceeds the bound, by falling norm."""
    offsets = np.zeros(term_count + 1, np.int64)
    buckets = np.zeros(NORM_BUCKETS + 1, np.int64)
    count = 0
    for position in range(len(terms)):
        if norms[position] > lower_bound:
            offsets[terms[position] + 1] += 1
            buckets[_bucket(norms[position]) + 1] += 1
            count += 1
    for term in range(term_count):
        offsets[term + 1] += offsets[term]
    for bucket in range(NORM_BUCKETS):
        buckets[bucket + 1] += buckets[bucket]
    by_norm_row = np.empty(count, np.int32)
    by_norm_position = np.empty(count, np.int64)
    for row in range(len(indptr) - 1):
        for position in range(indptr[row], indptr[row + 1]):
            if norms[position] > lower_bound:
                bucket = _bucket(norms[position])
                by_norm_row[buckets[bucket]] = row
                by_norm_position[buckets[bucket]] = position
                buckets[bucket] += 1
    free = offsets[:-1].copy()
    rows = np.empty(count, np.int32)
    positions = np.empty(count, np.int32)
    list_norms = np.empty(count, np.float32)
    for index in range(count):
        row, position = by_norm_row[index], by_norm_position[index]
        target = free[terms[position]]
        free[terms[position]] += 1
        rows[target] = row
        positions[target] = position - indptr[row]
        list_norms[target] = norms[position]
    return offsets, rows, positions, list_norms


@njit(cache=True, nogil=True)
def _bucket(norm: np.float32) -> int:
    """Bucket of a norm in (0, 1], the largest norms first."""
    return min(NORM_BUCKETS - 1, max(0, int((np.float32(1.001) - norm) * (NORM_BUCKETS - 1))))
