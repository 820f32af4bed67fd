"""The build of the word index: the inverted file of each field of the products' texts.

Every description counts, in any language: the words of a query are compared with what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from export.progress import Advance
from retrieval_server.text.grams import Codes, GramRule, grams_of
from retrieval_server.text.inverted_file import Postings, write_inverted_file
from retrieval_server.text.word_search import RULES, FieldSizes, field_file

TEXTS_AT_ONCE = 20_000


def build_word_index(
    folder: Path, fields: Mapping[str, Sequence[str]], advance: Advance
) -> dict[str, FieldSizes]:
    """Write the inverted files of some fields; overwrites.

    Args:
        folder: folder of the bundle.
        fields: one text for each product, by the name of the field.
        advance: told the number of texts finished.

    Returns:
        The sizes by field. Equal texts give equal files.

    Raises:
        OSError: if the disk is full.
    """
    sizes = {}
    for field, texts in fields.items():
        postings = postings_of(texts, RULES[field], advance)
        write_inverted_file(folder, field_file(field), postings)
        filled = len(np.unique(postings.rows))
        sizes[field] = FieldSizes(filled, len(postings.codes), len(postings.rows))
    return sizes


def postings_of(texts: Sequence[str], rule: GramRule, advance: Advance) -> Postings:
    """Find the grams of texts by a rule, and the rows of each gram."""
    vocabulary, found = np.empty(0, np.uint64), []
    for rows, codes in _pieces(texts, rule, advance):
        grams, places = np.unique(codes, return_inverse=True)
        found.append((rows, grams, places.astype(np.int32)))
        vocabulary = np.union1d(vocabulary, grams)
    terms = [
        np.searchsorted(vocabulary, grams).astype(np.int32)[places] for _, grams, places in found
    ]
    all_rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _, _ in found)])
    all_terms = np.concatenate([np.empty(0, np.int32), *terms])
    starts = np.searchsorted(all_rows, np.arange(len(texts) + 1, dtype=np.int32))
    by_row = scipy.sparse.csr_matrix(
        (np.ones(len(all_terms), np.bool_), all_terms, starts),
        shape=(len(texts), len(vocabulary)),
    )
    by_term = by_row.tocsc()  # keeps rows ascending, and repetitions
    terms_of_rows = np.repeat(np.arange(len(vocabulary), dtype=np.int32), np.diff(by_term.indptr))
    return Postings(
        vocabulary,
        terms_of_rows,
        by_term.indices.astype(np.int32),
        len(texts),
    )


def _pieces(
    texts: Sequence[str], rule: GramRule, advance: Advance
) -> Iterator[tuple[NDArray[np.int32], Codes]]:
    """Rows and codes of the grams, some texts at a time."""
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        piece = texts[first : first + TEXTS_AT_ONCE]
        numbers, codes = grams_of(piece, rule)
        yield (numbers + first).astype(np.int32), codes
        advance(len(piece))
