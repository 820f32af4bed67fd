"""A program that prints a digest of every bound of a search, as this processor computes them."""

import hashlib
import sys

import numpy as np

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.vector_instructions import HAS_VNNI
from retrieval_server.exact_search.search import ExactWanted, SearchCounts
from retrieval_server.exact_search.shared_scan import finish_together
from tests.support.level_bounds import byte_bounds, level_bounds
from tests.support.made_up_databases import cascade, clustered_vectors


def print_bounds() -> None:
    """Print whether the processor has the wide instruction, and the digest."""
    rng = np.random.default_rng(12)
    database = [clustered_vectors(rng, 500, 80), clustered_vectors(rng, 500, 90, True)]
    search, groups = (
        cascade(database, (3, 1)),
        Groups(np.repeat(np.arange(100, dtype=np.int32), 5), 100),
    )
    digest = hashlib.sha256()
    for row in range(0, 500, 25):
        query = [part[row] for part in database]
        for bounds in level_bounds(search.levels, query, np.array([0.9, 0.5])):
            digest.update(bounds)
        digest.update(byte_bounds(search.levels, query, (3.0, 1.0)))
        for grouped in (None, groups):
            counts = SearchCounts()
            ranking = search.rank_all(query, (3.0, 1.0), 7, groups=grouped, counts=counts)
            digest.update(ranking.rows)
            digest.update(repr(counts).encode())
    together = [ExactWanted([part[row] for part in database], (3.0, 1.0), 7) for row in range(3)]
    for ended in finish_together(map(search.ranking, together)):
        digest.update(ended.result().similarities)
    sys.stdout.write(f"{HAS_VNNI} {digest.hexdigest()}")
