"""The fit of TF-IDF to descriptions: terms, IDF, and the distinct vectors that the join compares.

The index leaves out descriptions without a term and descriptions in another language than English
(see language_filter); search still finds their products by image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import scipy.sparse

from export.text_index.neighbour_lists import Groups, group_rows
from export.text_index.settings import TextSettings
from export.text_index.tfidf import count_terms, write_term_counts
from export.words.languages import languages
from retrieval_server.text.language_filter import ENGLISH, left_out
from retrieval_server.text.tokens import TOKENISERS


@dataclass(frozen=True, kw_only=True)
class FitCounts:
    """Counts of a fit, for the report of the index.

    Attributes:
        idf_documents: N of eq. (4).
        terms: V, the vocabulary's size.
        left_out: number of descriptions that the language filter left out, by language.
    """

    idf_documents: int
    terms: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class FittedTexts:
    """Descriptions as vectors.

    Attributes:
        counts: what the fit counted.
        groups: rows by equal vectors.
        vectors: (G, V) float64, the vector of each group, of L2 norm 1.
    """

    counts: FitCounts
    groups: Groups
    vectors: scipy.sparse.csr_matrix


def fit_texts(descriptions: Sequence[str], settings: TextSettings, folder: Path) -> FittedTexts:
    """Fit TF-IDF to descriptions, and write their term counts (see tfidf).

    Args:
        descriptions: one text for each row.
        settings: tokeniser and language filter.
        folder: gets the term counts.

    Raises:
        OSError: if the disk is full.
    """
    covered, left = covered_texts(descriptions, settings.language_filter)
    counted = count_terms(covered, TOKENISERS[settings.tokeniser])
    write_term_counts(folder, counted)
    vectors = counted.vectors()
    groups = group_rows(vectors)
    counts = FitCounts(idf_documents=counted.documents, terms=len(counted.terms), left_out=left)
    return FittedTexts(counts, groups, vectors[groups.first])


def covered_texts(
    descriptions: Sequence[str], language_filter: str
) -> tuple[list[str], dict[str, int]]:
    """Replace the descriptions that the filter leaves out by empty texts.

    Returns:
        The texts, and how many the filter left out, by language.
    """
    found = languages(descriptions, language_filter)
    texts = [
        text if language == ENGLISH else ""
        for text, language in zip(descriptions, found, strict=True)
    ]
    return texts, left_out(found)
