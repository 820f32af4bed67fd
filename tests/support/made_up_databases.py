"""Databases for the tests of the exact search, and brute force over them."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from export.index.fit_search import fit_search
from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.levels.encoding import GrowingLevels, empty_levels, encode_all
from retrieval_server.exact_search.row_factors import RowFactors

ALPHAS = (0.0, 1e-6, 0.01, 0.5, 1.0, 3.0, 30.0, 1e6)


def random_factors(rng, rows):
    """Factors of some rows, from 1 to 101; a few of them equal."""
    chosen = np.flatnonzero(rng.random(rows) < rng.choice([0.0, 0.05, 0.5, 1.0])).astype(np.int32)
    cosines = rng.choice([rng.random(len(chosen)), np.full(len(chosen), 0.5)])
    return RowFactors(chosen, 1 + rng.choice([0.0, 0.1, 1.0, 100.0]) * cosines)


def random_groups(rng, rows):
    """Groups of one row, of some, of thousands, or one group of all; in runs or scattered."""
    count = min(rows, int(rng.choice([1, 2, 5, 1 + rows // 5, rows])))
    numbers = rng.integers(0, count, rows).astype(np.int32)
    return Groups(np.sort(numbers) if rng.random() < 0.5 else numbers, count)


def random_rows(rng, rows):
    """Which of some rows: all, one, none, scattered ones or a run of them."""
    kind, allowed = rng.integers(5), np.zeros(rows, np.bool_)
    if kind == 0:
        allowed[:] = True
    elif kind == 1:
        allowed[rng.integers(rows)] = True
    elif kind == 2:
        allowed[:] = rng.random(rows) < rng.random()
    elif kind == 3:
        first, last = np.sort(rng.integers(0, rows + 1, 2))
        allowed[first:last] = True
    return allowed


def brute_force(
    database, query, alphas, top_k, exclude=None, allowed=None, factors=None, groups=None
):
    """Eq. (8) and the tie rule, literally: correctly rounded sums, products in order, one sort.

    Of each group the first in this order.
    """
    factor_of = dict(zip(factors.rows, factors.factors, strict=True)) if factors else {}
    scored = []
    for row in range(len(database[0])):
        if row == exclude or (allowed is not None and not allowed[row]):
            continue
        similarity = 1.0
        for features, q, alpha in zip(database, query, alphas, strict=True):
            cosine = math.fsum(float(a) * float(b) for a, b in zip(features[row], q, strict=True))
            similarity *= 1 + alpha * cosine
        similarity *= factor_of.get(row, 1.0)
        scored.append((-similarity, row))
    best = best_of_groups(sorted(scored), groups)[:top_k]
    return [row for _, row in best], [-negative for negative, _ in best]


def best_of_groups(scored, groups):
    """The first of each group of (score, row), in their order; all of them without groups."""
    first = {}
    for score, row in scored:
        first.setdefault(row if groups is None else groups.numbers[row], (score, row))
    return list(first.values())


def exact_vectors(rng, count, dimension=20):
    """Unit vectors with 16 entries of ±1/4: their cosines are multiples of 1/16, without rounding.

    Such databases are full of real ties.
    """
    vectors = np.zeros((count, dimension), dtype=np.float32)
    for vector in vectors:
        vector[rng.permutation(dimension)[:16]] = rng.choice([-0.25, 0.25], 16)
    return vectors


def unit_vectors(rng, count, dimension):
    return normalised(rng.normal(0.3, 1, (count, dimension)))


def normalised(vectors):
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > 0, vectors / np.maximum(norms, 1e-30), 0).astype(np.float32)


def clustered_vectors(rng, count, dimension, rectified=False):
    """Like descriptors: a decaying spectrum around a mean; some are zero."""
    rank = max(2, dimension // 4)
    axes = rng.normal(size=(rank, dimension)) * np.exp(-3 * np.arange(rank) / rank)[:, None]
    noise = rng.choice([0.0, 0.1, 0.5]) * rng.normal(size=(count, dimension))
    vectors = rng.normal(size=(count, rank)) @ axes + noise + rng.choice([0.0, 0.5, 3.0])
    vectors = normalised(np.maximum(vectors, 0) if rectified else vectors)
    vectors[rng.random(count) < 0.05] = 0
    return vectors


def random_database(rng):
    """One to five backbones of small dimensions, random, with copies, or full of ties."""
    rows, backbones = int(rng.integers(1, 300)), int(rng.integers(1, 6))
    if rng.random() < 0.25:
        database = [exact_vectors(rng, rows) for _ in range(backbones)]
    else:
        database = [
            clustered_vectors(rng, rows, int(rng.integers(1, 90)), rng.random() < 0.5)
            for _ in range(backbones)
        ]
    if rng.random() < 0.3:  # copies; of one row alone, now and then
        copied = rng.integers(0, rng.choice([1, rows]), rows)
        database = [part[copied] for part in database]
    return database


def random_query(rng, database):
    """A row, something near a row, or something else, by backbone."""
    query = []
    for part in database:
        row = part[rng.integers(len(part))].astype(np.float32)
        kind = rng.integers(4)
        if kind == 1:
            row = normalised(row[None] + 0.05 * rng.normal(size=(1, len(row))))[0]
        elif kind == 2:
            row = clustered_vectors(rng, 1, len(row), rng.random() < 0.5)[0]
        elif kind == 3:
            row = -row
        query.append(row)
    return query


def encoded(database, alphas, fitted_rows=None, fit=None, threads=1):
    """Levels of the first rows of a database, fitted to them."""
    database = [part[:fitted_rows] for part in database]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as executor:
        fit = fit or fit_search(database, alphas)
        empty = empty_levels(fit, [part.shape[1] for part in database], len(database[0]))
        return encode_all(fit, database, empty, executor)


def grown(levels, *parts):
    """Levels with further rows, which are appended part by part."""
    growing = GrowingLevels(levels, [matrix.shape[1] for matrix in parts[0]])
    for part in parts:
        growing.append(part)
    return growing.levels


def cascade(database, alphas=None):
    """A search that goes through every level, however small the database."""
    settings = CascadeSettings(probes=4, extra_reads=1, few_rows=0, few_eligible=0)
    return CascadeSearch(database, encoded(database, alphas or [1.0] * len(database)), settings)
