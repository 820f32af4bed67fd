"""The textual index of an existing version, extended by new descriptions.

No command and no server uses this module today: only tests call it. Live updates, which are
planned, will.

The result equals the join of all descriptions, old and new, under the IDF of the old index; a full
build renews the IDF. A term that the old index does not have gets DF = 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.progress import Advance
from export.text_index.build import TextIndexReport
from export.text_index.fit import covered_texts
from export.text_index.join import join
from export.text_index.neighbour_lists import Groups, group_rows, write_neighbour_lists
from export.text_index.pair_file import PAIR, PairFile
from export.text_index.settings import TextSettings
from export.text_index.tfidf import append_counts, read_term_counts, write_term_counts
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.text.neighbours import TextIndex
from retrieval_server.text.tokens import TOKENISERS

CHUNK_ROWS = 1 << 16


def append_text_index(
    old: IndexBundle, descriptions: Sequence[str], folder: Path, advance: Advance
) -> TextIndexReport:
    """Write the textual index of a bundle's products, followed by new products.

    Args:
        old: a version of the index; its settings apply to the new descriptions.
        descriptions: one text for each new product.
        folder: gets the files of the textual index and of the term counts.
        advance: told the number of descriptions finished, old and new.

    Returns:
        A report; the lists are as exact as those of ``build_text_index``.

    Raises:
        IndexBundleError: if ``max_neighbours`` cut the old lists, so that some of their pairs are
            lost, or if the bundle was built before the manifest recorded the settings.
        OSError: if the disk is full.
    """
    recorded = old.manifest.text
    try:
        settings = TextSettings(**{name: recorded[name] for name in TextSettings().to_json()})
        is_cut = recorded["cut_lists"] > 0
    except KeyError as error:
        raise IndexBundleError(
            f"Index {old.folder} does not record its {error}, so nothing can be appended. {REBUILD}"
        ) from error
    if is_cut:
        raise IndexBundleError(
            f"The lists of text neighbours in {old.folder} were cut at {settings.max_neighbours}; "
            "nothing can be appended to them. Build the index again with all descriptions."
        )
    covered, left = covered_texts(descriptions, settings.language_filter)
    known = read_term_counts(old.folder, recorded["idf_documents"])
    counted = append_counts(known, covered, TOKENISERS[settings.tokeniser])
    write_term_counts(folder, counted)
    vectors = counted.vectors()
    groups = group_rows(vectors)
    old_groups = int(np.searchsorted(groups.first, len(old)))
    with PairFile(folder) as found:
        _add_known_pairs(old.text_index, groups, found)
        advance(vectors.shape[0] - len(groups.first))  # empty rows, and those equal to another
        join(vectors[groups.first], settings.threshold, found, advance, first_new=old_groups)
        sizes = write_neighbour_lists(
            folder, groups, found, vectors.shape[0], settings.max_neighbours
        )
    longest = sizes.longest_row
    if longest < len(old):
        named = old.product(longest).description
    else:
        named = descriptions[longest - len(old)] if descriptions else ""
    return TextIndexReport(
        documents=len(groups.rows),
        idf_documents=counted.documents,
        terms=len(counted.terms),
        left_out=Counter(recorded["left_out"]) + Counter(left),
        sizes=sizes,
        longest=named,
    )


def _add_known_pairs(known: TextIndex, groups: Groups, found: PairFile) -> None:
    """Add the pairs of groups that the old lists hold, every pair once."""
    group = np.full(len(known), -1, np.int32)  # by row: its group, for the first row of a group
    old_first = groups.first[groups.first < len(known)]
    group[old_first] = np.arange(len(old_first), dtype=np.int32)
    for start in range(0, len(known), CHUNK_ROWS):
        lengths, rows, cosines = known.lists(start, start + CHUNK_ROWS)
        first = np.repeat(group[start : start + CHUNK_ROWS], lengths)
        second = group[rows]
        once = (first >= 0) & (first < second)
        pairs = np.empty(np.count_nonzero(once), PAIR)
        for name, values in (("first", first), ("second", second), ("cosine", cosines)):
            pairs[name] = values[once]
        found.append(pairs)
