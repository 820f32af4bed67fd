"""The exact join of eq. (6)-(7): every pair of sparse unit vectors with a cosine above τ.

Every pair is found in one posting list, that of its rarest shared term (see posting_lists), and
every list is joined on its own (see list_join). The set of pairs is that of brute force in float64,
except for cosines within 1e-12 of τ, where the order of additions decides. The lists are
independent, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from export.progress import Advance
from export.text_index.list_join import join_lists
from export.text_index.pair_file import PAIR, PairFile
from export.text_index.posting_lists import PostingLists, posting_lists, term_frequencies
from retrieval_server.cores import available_cores

FLOAT32_ERROR = 1.2e-7  # 2**-23: relative error of one float32 product or sum
BUFFER_PAIRS = 1 << 20
PARTS = 64  # shares of the work: enough to balance threads and to show progress


def join(
    vectors: scipy.sparse.csr_matrix,
    threshold: float,
    found: PairFile,
    advance: Advance,
    *,
    first_new: int = 0,
    only_across: bool = False,
    frequencies: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> int:
    """Find all pairs of rows with a cosine above the threshold.

    Args:
        vectors: (N, V) float64, each row of L2 norm 1 or empty; no term twice in a row.
        threshold: τ in (0, 1).
        found: gets the pairs, every pair once, in no particular order.
        advance: told the number of rows finished, N in the end.
        first_new: leaves out pairs of two rows before this one. ``append`` and ``pair_join`` give
            another value than 0, see there.
        only_across: leaves out pairs of two rows from ``first_new`` on, too.
        frequencies: (V,) how many rows have each term; None counts those of ``vectors``. A cosine
            is added up from its rarest term on, so a join of some rows of a larger matrix takes the
            frequencies of the whole one: its cosines then are the same to the last bit.
        threads: number of threads; None takes one for each available core.

    Returns:
        How many pairs were compared: N² / 2 for brute force.
    """
    if only_across and not first_new:
        advance(vectors.shape[0])  # there is nothing on the other side
        return 0
    longest = int(np.diff(vectors.indptr).max(initial=0))
    slack = FLOAT32_ERROR * (2 * longest + 8)
    if frequencies is None:
        frequencies = term_frequencies(vectors)
    lists = posting_lists(vectors, threshold - slack, frequencies)
    work, shares = _parts(lists)
    capacity = max(BUFFER_PAIRS, int(np.diff(lists.offsets).max(initial=0)))
    compared = np.zeros(len(work), np.int64)

    def join_part(part: int) -> int:
        pairs = np.empty(capacity, PAIR)
        index = row = 0
        while index < len(work[part]):
            count, index, row, looked_at = join_lists(
                lists,
                work[part],
                index,
                row,
                threshold,
                np.float32(slack),
                first_new,
                only_across,
                pairs,
            )
            compared[part] += looked_at
            found.append(pairs[:count])
        return part

    with ThreadPoolExecutor(threads or available_cores()) as pool:
        futures = [pool.submit(join_part, part) for part in range(len(work))]
        try:
            done, told = 0.0, 0
            for future in as_completed(futures):
                done += shares[future.result()]
                finished = min(int(done * vectors.shape[0]), vectors.shape[0] - 1)
                advance(finished - told)
                told = finished
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    advance(vectors.shape[0] - told)
    return int(compared.sum())


def _parts(lists: PostingLists) -> tuple[Sequence[NDArray[np.int64]], NDArray[np.float64]]:
    """Divide the lists of two or more rows into parts; the shares of work, the largest first."""
    lengths = np.diff(lists.offsets)
    chosen = np.flatnonzero(lengths > 1)
    if not len(chosen):
        return [], np.empty(0)
    work = np.cumsum(lengths[chosen].astype(np.float64) ** 2 + 400.0 * lengths[chosen])
    cuts = np.searchsorted(work, np.linspace(0, work[-1], PARTS + 1)[1:-1])
    parts = [part for part in np.split(chosen, np.unique(cuts)) if len(part)]
    ends = np.searchsorted(chosen, [part[-1] for part in parts])
    shares = np.diff(work[ends], prepend=0) / work[-1]
    order = np.argsort(-shares, kind="stable")
    return [parts[part] for part in order], shares[order]
