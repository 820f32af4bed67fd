"""Compiles the search before the first query needs it; ``make setup`` runs this module.

The server calls ``compile_kernels`` before it reports to be ready. With numba's cache on disk that
takes half a second, without it some ten seconds. Where the package's folder cannot be written,
numba uses the user's cache folder, or the one that NUMBA_CACHE_DIR names.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.layout import AXES
from retrieval_server.exact_search.levels.encoding import empty_levels, encode_all
from retrieval_server.exact_search.levels.fit_parameters import FitParameters
from retrieval_server.exact_search.levels.rotation import SearchFit
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.exact_search.search import ExactWanted
from retrieval_server.exact_search.shared_scan import finish, finish_together

_ROWS, _DIMENSION = 256, 64


def compile_kernels() -> None:
    """Encode a small made-up database and search it through every level."""
    vectors = np.abs(np.random.default_rng(0).normal(size=(_ROWS, _DIMENSION)))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    descriptors = [vectors.astype(np.float32)]
    parameters = FitParameters(
        rows=_ROWS,
        sample_rows=_ROWS,
        alphas=(1.0,),
        scalings=(1.0,),
        rotation_error=0.0,
        mean_lows=(-1.0,),
        mean_steps=(0.01,),
        residual_step=0.01,
        tail_step=0.01,
        code_offsets=(0,),
    )
    fit = SearchFit(
        parameters,
        descriptors[0].mean(axis=0),
        np.eye(_DIMENSION, dtype=np.float32),
        np.full(AXES, 0.02, np.float32),
        np.full(_DIMENSION, 0.01, np.float32),
    )
    with ThreadPoolExecutor(1) as executor:
        levels = encode_all(fit, descriptors, empty_levels(fit, [_DIMENSION], _ROWS), executor)
    search = CascadeSearch(descriptors, levels, CascadeSettings(probes=2, few_rows=0))
    factors = RowFactors(np.arange(2, dtype=np.int32), np.ones(2))
    groups = Groups(np.arange(_ROWS, dtype=np.int32), _ROWS)
    plain = ExactWanted([descriptors[0][0]], [1.0], 1)
    for wanted in (plain, replace(plain, factors=factors, groups=groups)):
        finish(search.ranking(wanted))
    for ended in finish_together([search.ranking(plain) for _ in range(2)]):
        ended.result()


if __name__ == "__main__":
    compile_kernels()
