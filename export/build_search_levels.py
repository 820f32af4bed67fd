"""Encode the descriptors of a new index for the exact search."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from threadpoolctl import threadpool_limits

from export.fit_search import fit_search
from export.progress import progress
from retrieval_server.exact_search.fit_parameters import SearchRecord
from retrieval_server.exact_search.level_files import create_levels, write_outliers
from retrieval_server.exact_search.levels import encode_all
from retrieval_server.exact_search.scan import SCANNED_ROWS
from retrieval_server.feature_store import open_descriptors
from retrieval_server.settings import available_cores


def build_search_levels(folder: Path, alphas: Mapping[str, float]) -> SearchRecord | None:
    """Write the levels beside the descriptors; overwrites.

    One BLAS thread and pieces of fixed size: equal descriptors give equal files, however many
    threads encode.

    Args:
        folder: holds the descriptors of all models.
        alphas: the profile's α by model name, in the order of eq. (8).

    Returns:
        What the manifest says about them; None for a database small enough to be scanned.
    """
    descriptors = [open_descriptors(folder, model) for model in alphas]
    rows = len(descriptors[0])
    if rows <= SCANNED_ROWS:
        return None
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(available_cores()) as executor,
        progress("search levels", rows) as advance,
    ):
        fit = fit_search(descriptors, list(alphas.values()))
        dimensions = [part.shape[1] for part in descriptors]
        empty = create_levels(folder, fit, dimensions, rows)
        levels = encode_all(fit, descriptors, empty, executor, advance)
    write_outliers(folder, levels)
    return levels.record
