"""The files of the TF-IDF vectors of descriptions, eq. (3)-(5), for those that come later.

==========================  =========  ============================================================
file                        dtype      content
==========================  =========  ============================================================
``terms.*.npy``             string     the vocabulary (V), see string_table
``terms.documents.npy``     int32      (V,): DF, number of documents with the term
``text_terms.indptr.npy``   int64      (N + 1,): row i's terms are indptr[i] to indptr[i + 1]
``text_terms.terms.npy``    int32      terms of the rows, ascending in a row
``text_terms.counts.npy``   int32      TF, how often the row has the term
==========================  =========  ============================================================

The vocabulary of a build ascends by the UTF-8 bytes of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval_server.storage.arrays import open_array
from retrieval_server.storage.string_table import StringTable, table_files, write_string_table

_TERMS = "terms"
_FREQUENCIES_FILE = "terms.documents.npy"
_COUNTS = "text_terms"


def term_files() -> tuple[str, ...]:
    """The names of the files."""
    parts = (f"{_COUNTS}.{part}.npy" for part in ("indptr", "terms", "counts"))
    return (*table_files(_TERMS), _FREQUENCIES_FILE, *parts)


class TermFiles(NamedTuple):
    """The files, opened.

    Attributes:
        table: the vocabulary.
        frequencies: (V,) DF.
        indptr: (N + 1,).
        terms: of the rows.
        counts: TF.
    """

    table: StringTable
    frequencies: NDArray[np.int32]
    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    counts: NDArray[np.int32]


def open_term_files(folder: Path) -> TermFiles:
    """Open the files of a version.

    Args:
        folder: of the version.

    Raises:
        IndexBundleError: if a file is missing or damaged.
    """
    return TermFiles(
        StringTable(folder, _TERMS),
        open_array(folder / _FREQUENCIES_FILE, np.int32, 1),
        open_array(folder / f"{_COUNTS}.indptr.npy", np.int64, 1),
        open_array(folder / f"{_COUNTS}.terms.npy", np.int32, 1),
        open_array(folder / f"{_COUNTS}.counts.npy", np.int32, 1),
    )


def write_term_files(
    folder: Path,
    terms: Sequence[str],
    frequencies: NDArray[np.int32],
    indptr: NDArray[np.integer],
    indices: NDArray[np.integer],
    counts: NDArray[np.integer],
) -> None:
    """Write the files; overwrites.

    Args:
        folder: gets them.
        terms: the vocabulary.
        frequencies: (V,) DF.
        indptr: (N + 1,), see the table.
        indices: the terms of the rows.
        counts: TF.
    """
    write_string_table(folder, _TERMS, terms)
    np.save(folder / _FREQUENCIES_FILE, frequencies.astype(np.int32))
    np.save(folder / f"{_COUNTS}.indptr.npy", indptr.astype(np.int64))
    np.save(folder / f"{_COUNTS}.terms.npy", indices.astype(np.int32))
    np.save(folder / f"{_COUNTS}.counts.npy", counts.astype(np.int32))


def smooth_idf(frequencies: NDArray[np.integer], documents: int) -> NDArray[np.float64]:
    """IDF of eq. (4), (V,): ln((1 + N) / (1 + DF)) + 1; DF is 0 for a term that comes later.

    Args:
        frequencies: (V,) DF.
        documents: N.
    """
    idf: NDArray[np.float64] = np.log((1 + documents) / (1 + frequencies.astype(np.float64))) + 1
    return idf
