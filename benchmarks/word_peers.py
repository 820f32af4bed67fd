"""The peers of the search with words: hybrid searches that run in one process, as ours does.

A hybrid search ranks the products by two vectors, and fuses the two rankings by ranks or by
normalised scores. The peers get the vectors that ours compares: the concatenated descriptors with
the query [w_n q_n], as in ``search_peers``, and the TF-IDF vectors of n-grams, whose inner product
is t. Both rankings are exact. None of the peers multiplies similarities, so their results differ
from ŝ; the recall says how far. The second recall is that of all candidates that a peer returns, as
if a program ranked these by ŝ afterwards.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from benchmarks.search_database import TOP_K, Query, SearchDatabase, chunks, concatenated
from retrieval_server.text.grams import WRITTEN, grams_of
from retrieval_server.text.word_search import DESCRIPTION, field_file

PYTHON = Path("build/word_peers/bin/python")  # made by make
PROGRAM = Path(__file__).with_name("word_peers_program.py")
PEERS = ("qdrant-edge", "milvus-lite")


@dataclass(frozen=True)
class HybridResult:
    """What a method of fusion of a peer gives.

    Attributes:
        name: of the peer, with its version, and of the method.
        milliseconds: (Q,) CPU time of each query.
        recall: share of our best seven that are among its best seven.
        candidate_recall: share of them among all that it returns.
        bytes: size on disk, vectors included.
    """

    name: str
    milliseconds: NDArray[np.float64]
    recall: float
    candidate_recall: float
    bytes: int


def hybrid_results(
    database: SearchDatabase,
    texts: Sequence[str],
    queries: Sequence[Query],
    words: Sequence[str],
    expected: Sequence[NDArray[np.integer]],
) -> list[HybridResult]:
    """Let every peer search.

    Args:
        database: the products; its folder has their inverted file.
        texts: of the products.
        queries: the descriptors.
        words: of each query.
        expected: our best rows for each query.
    """
    results = []
    with tempfile.TemporaryDirectory(dir=database.folder) as scratch:
        folder = Path(scratch)
        _write_vectors(folder, database, texts, queries, words)
        for peer in PEERS:
            done = subprocess.run(
                [PYTHON, PROGRAM, peer, folder], stdout=subprocess.PIPE, text=True, check=True
            )
            results += _results(peer, json.loads(done.stdout.splitlines()[-1]), expected)
    return results


def _results(
    peer: str, answer: dict[str, Any], expected: Sequence[NDArray[np.integer]]
) -> list[HybridResult]:
    return [
        HybridResult(
            name=f"{peer} {answer['version']}, {method}",
            milliseconds=1000 * np.array(found["seconds"]),
            recall=_recall(expected, [rows[:TOP_K] for rows in found["rows"]]),
            candidate_recall=_recall(expected, found["rows"]),
            bytes=answer["bytes"],
        )
        for method, found in answer["fusions"].items()
    ]


def _recall(expected: Sequence[NDArray[np.integer]], found: Sequence[Sequence[int]]) -> float:
    shares = [np.isin(rows, them).mean() for rows, them in zip(expected, found, strict=True)]
    return float(np.mean(shares))


def _write_vectors(
    folder: Path,
    database: SearchDatabase,
    texts: Sequence[str],
    queries: Sequence[Query],
    words: Sequence[str],
) -> None:
    """Write what ``word_peers_program`` reads."""
    dense = np.concatenate(list(chunks(database, "vectors for the peers")))
    np.save(folder / "products.dense.npy", dense)
    np.save(folder / "queries.dense.npy", np.stack([concatenated(query) for query in queries]))
    place = database.folder / "words"
    for kind, of_kind in (("products", texts), ("queries", words)):
        vectors = _unit_vectors(place, of_kind)
        np.save(folder / f"{kind}.starts.npy", vectors.indptr)
        np.save(folder / f"{kind}.dimensions.npy", vectors.indices)
        np.save(folder / f"{kind}.weights.npy", vectors.data)


def _unit_vectors(folder: Path, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
    """The TF-IDF vectors of texts under the IDF of an inverted file, (n, V) float32."""
    codes, idf, counts = (
        np.load(folder / f"{field_file(DESCRIPTION)}.{part}.npy")
        for part in ("codes", "idf", "counts")
    )
    numbers, grams = grams_of(texts, WRITTEN)
    terms = np.minimum(np.searchsorted(codes, grams), len(codes) - 1)
    is_known = codes[terms] == grams
    ones = np.ones(int(is_known.sum()), np.int64)
    vectors = scipy.sparse.csr_matrix(
        (ones, (numbers[is_known], terms[is_known])), shape=(len(texts), len(codes))
    )
    weights = counts[np.minimum(vectors.data, len(counts) - 1)] * idf[vectors.indices]
    rows = np.repeat(np.arange(len(texts)), np.diff(vectors.indptr))
    norms = np.sqrt(np.bincount(rows, weights * weights, minlength=len(texts)))
    return scipy.sparse.csr_matrix(
        ((weights / norms[rows]).astype(np.float32), vectors.indices, vectors.indptr),
        shape=vectors.shape,
    )
