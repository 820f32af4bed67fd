"""The upper bounds that the levels give for every row."""

import numpy as np

from retrieval_server.exact_search.cascade import stages_of
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS
from retrieval_server.exact_search.levels.byte import ByteSearch, byte_query
from retrieval_server.exact_search.levels.candidates import Candidates, Scratch
from retrieval_server.exact_search.levels.rotation import RotatedQuery
from retrieval_server.exact_search.parallelism import IntraQueryParallelism


def level_bounds(levels, query, weights):
    """Upper bounds of every row by the coarse, the middle and the residual level."""
    rotated = RotatedQuery(levels.fit, query, weights)
    rows = levels.rows
    candidates, found = Candidates(Scratch(rows), rows), []
    for stage in stages_of(levels):
        stage.bound(rotated, candidates, IntraQueryParallelism())
        if stage.name == "coarse":
            found.append(candidates.coarse_upper_bounds[:rows])
            whole = rows // BLOCK_ROWS
            largest = found[0][: BLOCK_ROWS * whole].reshape(-1, BLOCK_ROWS).max(axis=1)
            assert candidates.block_maxima[:whole].tolist() == largest.tolist()
        else:
            found.append(candidates.upper_bounds[:rows].copy())
        candidates.keep(np.float32(-np.inf))
        assert candidates.rows.tolist() == list(range(rows))
    return found


def byte_bounds(levels, query, alphas):
    """Upper bounds of eq. (8) of every row by the byte level."""
    offsets = levels.fit.parameters.code_offsets
    search = ByteSearch(levels.arrays["bytes"], byte_query(query, offsets), alphas)
    return search.bounds(np.arange(levels.rows, dtype=np.int32))[1]
