"""Encode the descriptors of a new index for the exact search."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from export.index.fit_search import fit_search
from export.index.stage_log import StageLog, file_names
from export.progress import progress
from retrieval_server.cores import available_cores
from retrieval_server.exact_search.levels.encoding import Encoded, encode_all
from retrieval_server.exact_search.levels.files import create_levels, write_outliers
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.exact_search.scan import SCANNED_ROWS
from retrieval_server.index.descriptors import open_descriptors

CREATED_STAGE, ENCODED_STAGE = "empty levels", "encoded rows"


def build_search_levels(
    folder: Path, alphas: Mapping[str, float], log: StageLog | None = None
) -> SearchRecord | None:
    """Write the levels beside the descriptors; overwrites rows that no log lists as encoded.

    BLAS uses one thread and the pieces have a fixed size: equal descriptors give equal files,
    whatever the number of threads that encode.

    Args:
        folder: holds the descriptors of all models.
        alphas: the profile's α by model name, in the order of eq. (8).
        log: lists the rows that are encoded, and records others; None to encode them all.

    Returns:
        What the manifest records about the levels; None for a database that is small enough to
        be scanned.
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
        dimensions = [matrix.shape[1] for matrix in descriptors]
        finished = {} if log is None else _finished(log)
        target = create_levels(folder, fit, dimensions, rows, keep=bool(finished))
        if log is not None and not finished:
            log.add(CREATED_STAGE, files=file_names(folder))

        def note(first_row: int, encoded: Encoded) -> None:
            if log is not None:
                outliers = encoded.outliers.tolist()
                log.add(
                    ENCODED_STAGE,
                    first_row=first_row,
                    outliers=outliers,
                    rectified=encoded.rectified,
                )

        levels = encode_all(fit, descriptors, target, executor, advance, finished, note)
    write_outliers(folder, levels)
    return levels.record


def _finished(log: StageLog) -> dict[int, Encoded]:
    return {
        entry["first_row"]: Encoded(
            np.array(entry["outliers"], np.int32), tuple(entry["rectified"])
        )
        for entry in log.find(ENCODED_STAGE)
    }
