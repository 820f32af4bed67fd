"""The build of the textual index D(i) of eq. (7) from descriptions.

The rows of the index are those of the catalogue: a product whose description is left out (see fit)
has an empty list.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.progress import Advance
from export.text_index.fit import FitCounts, fit_texts
from export.text_index.join import join
from export.text_index.neighbour_lists import Groups, ListSizes, write_neighbour_lists
from export.text_index.pair_file import PairFile, Pairs
from export.text_index.settings import TextSettings
from export.text_index.word_index import build_word_index
from export.words import languages
from retrieval_server.text.grams import GRAMS
from retrieval_server.text.language_filter import KEEP_ALL
from retrieval_server.text.word_search import DESCRIPTION, WordSearch, WordsRecord

# So many similar descriptions, and as many as the square root of their number, are no family of
# images and variants of one product: the largest family has 369 members among 146,458 real titles,
# 17 among the first 1,000 of them, 7 among the first 40.
FAMILY_LEAST = 8
FAMILY_SHARE = 0.01  # of the descriptions
NAMED_CHARACTERS = 60  # of a description in a warning


@dataclass(frozen=True, kw_only=True)
class TextIndexReport:
    """Counts of a textual index, for its manifest and for the warnings of a build.

    Attributes:
        documents: number of descriptions in the index.
        idf_documents: N of eq. (4); differs from ``documents`` after an append.
        terms: V, the vocabulary's size.
        left_out: number of descriptions that the language filter left out, by language.
        sizes: sizes of the lists.
        longest: the description with the longest list.
    """

    documents: int
    idf_documents: int
    terms: int
    left_out: Mapping[str, int]
    sizes: ListSizes
    longest: str

    def to_json(self) -> dict[str, Any]:
        """The values that the manifest records beside the settings."""
        return {
            "idf_documents": self.idf_documents,
            "terms": self.terms,
            "left_out": dict(self.left_out),
            "cut_lists": self.sizes.cut_lists,
            "cut_neighbours": self.sizes.cut_neighbours,
            "warnings": self.warnings,
        }

    @property
    def warnings(self) -> list[str]:
        """Warn of a text that too many products share, and of lists that were cut."""
        warnings = []
        similar = self.sizes.longest + 1
        if self._is_too_common(similar):
            named = self.longest[:NAMED_CHARACTERS]
            warnings.append(
                f"{similar:,} of {self.documents:,} descriptions ({similar / self.documents:.1%}) "
                f"are similar to {named!r}. If a search finds one of these products, refinement "
                "replaces right results by others that only share this text. Empty the "
                "descriptions that say nothing, delete the sentences that all have in common, "
                "or raise --threshold."
            )
        if self.sizes.cut_lists:
            warnings.append(
                f"--max-neighbours cut {self.sizes.cut_lists:,} lists of text neighbours by "
                f"{self.sizes.cut_neighbours:,} in all; the longest had {self.sizes.longest:,}."
            )
        return warnings

    def _is_too_common(self, similar: int) -> bool:
        largest = max(FAMILY_LEAST, FAMILY_SHARE * self.documents, math.sqrt(self.documents))
        return similar >= largest


def build_text_index(
    descriptions: Sequence[str], settings: TextSettings, folder: Path, advance: Advance
) -> TextIndexReport:
    """Write the textual index of descriptions, and their term counts (see tfidf).

    Args:
        descriptions: one text for each row.
        settings: the settings of the index.
        folder: gets the files.
        advance: told the number of descriptions finished.

    Returns:
        A report. Up to ``max_neighbours``, the lists hold exactly the pairs that brute force in
        float64 finds, for any number of threads and any memory.

    Raises:
        OSError: if the disk is full.
    """
    fitted = fit_texts(descriptions, settings, folder)
    with PairFile(folder) as found:
        left = len(descriptions) - len(fitted.groups.first)  # empty, or equal to another
        advance(left)
        join(fitted.vectors, settings.threshold, found, advance)
        return write_lists(
            folder, descriptions, fitted.counts, fitted.groups, found, settings.max_neighbours
        )


def write_lists(
    folder: Path,
    descriptions: Sequence[str],
    counts: FitCounts,
    groups: Groups,
    found: Pairs,
    max_neighbours: int | None,
) -> TextIndexReport:
    """Write the neighbour lists of descriptions that were joined.

    Args:
        folder: gets the files.
        descriptions: one text for each row.
        counts: what the fit counted.
        groups: rows by equal vectors.
        found: the pairs of groups above the threshold, every pair once.
        max_neighbours: the longest list allowed; None allows any.

    Raises:
        OSError: if the disk is full.
    """
    sizes = write_neighbour_lists(folder, groups, found, len(descriptions), max_neighbours)
    return TextIndexReport(
        documents=len(groups.rows),
        idf_documents=counts.idf_documents,
        terms=counts.terms,
        left_out=counts.left_out,
        sizes=sizes,
        longest=descriptions[sizes.longest_row] if descriptions else "",
    )


def warm_up() -> None:
    """Compile what a build and a search by words need, or load it from numba's cache."""
    languages.warm_up()
    texts = ["a b", "a b", "a b c", "b c"]
    with tempfile.TemporaryDirectory() as folder:
        settings = TextSettings(threshold=0.1, language_filter=KEEP_ALL)
        build_text_index(texts, settings, Path(folder), lambda _: None)
        sizes = build_word_index(Path(folder), {DESCRIPTION: texts}, lambda _: None)
        WordSearch(Path(folder), WordsRecord(GRAMS, (), sizes)).cosines("a")
