"""The textual index: TF-IDF over the descriptions and all pairs above τ, eq. (3)-(7).

Tokens: accents are stripped and apostrophes deleted (L'Oréal, L’Oreal and LOREAL are one word), a
point between digits stays (1.7 oz), any other punctuation separates, single characters count.
scikit-learn's own pattern would drop those and split brands: 23 % other pairs on real titles.

Left out are descriptions without a token and those in another script than Latin; their products
stay searchable by image. Rows stay catalogue rows: such a product has an empty list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from export.progress import Advance

THRESHOLD = 0.6  # τ, section 2.2
BLOCK_ROWS = 1024
TOKENISER = "strip-accents-1"  # recorded in the manifest; a new rule gets a new name
LANGUAGE_FILTER = "latin-script-1"
MAX_FOREIGN_LETTERS = 1  # one stray letter is no foreign description

_APOSTROPHES = re.compile("['’‘`´ʼ＇]")
_SYMBOLS = re.compile("[®™©℠]")  # NFKD would turn ™ into the letters TM
_TOKEN = re.compile(r"(?:[^\W_]|(?<=\d)\.(?=\d))+")
_VIETNAMESE = range(0x1EA0, 0x1EFA)


@dataclass(frozen=True)
class TextNeighbours:
    """D(i) of eq. (7) as compressed sparse rows.

    Attributes:
        indptr: (N + 1,) int64.
        rows: (nnz,) int32, each list by cosine descending, then row ascending.
        cosines: (nnz,) float64.
        documents: descriptions covered.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.int32]
    cosines: NDArray[np.float64]
    documents: int


def text_parameters(threshold: float) -> dict[str, Any]:
    """What the manifest records about the textual index."""
    return {
        "threshold": threshold,
        "tokeniser": TOKENISER,
        "language_filter": LANGUAGE_FILTER,
    }


def tokens(text: str) -> list[str]:
    """Split a description into terms.

    >>> tokens("L’Oréal Crème-50ml, 1.7 oz")
    ['loreal', 'creme', '50ml', '1.7', 'oz']
    """
    plain = unicodedata.normalize("NFKD", _SYMBOLS.sub(" ", _APOSTROPHES.sub("", text)))
    if not plain.isascii():
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _TOKEN.findall(plain.lower())


def is_latin(text: str) -> bool:
    """Tell whether a description is written in Latin letters, Vietnamese ones not counted."""
    if text.isascii():
        return True
    latin = _APOSTROPHES.sub("", text).replace("µ", "u")  # NFKC makes a Greek letter of it
    foreign = sum(
        letter.isalpha()
        and (ord(letter) in _VIETNAMESE or not unicodedata.name(letter, "").startswith("LATIN"))
        for letter in unicodedata.normalize("NFKC", latin)
        if not letter.isascii()
    )
    return foreign <= MAX_FOREIGN_LETTERS


def find_text_neighbours(
    descriptions: Sequence[str], threshold: float, advance: Advance
) -> TextNeighbours:
    """Find all pairs of descriptions with a TF-IDF cosine above the threshold.

    Args:
        descriptions: one text for each row.
        threshold: τ in (0, 1).
        advance: told the number of descriptions finished.

    Returns:
        The exact set of pairs, computed in float64.
    """
    terms = [tokens(text) if is_latin(text) else [] for text in descriptions]
    documents = np.flatnonzero([bool(words) for words in terms])
    advance(len(descriptions) - len(documents))
    lengths = np.zeros(len(descriptions), dtype=np.int64)
    rows: list[NDArray[np.int64]] = []
    cosines: list[NDArray[np.float64]] = []
    if len(documents):
        vectorizer = TfidfVectorizer(analyzer=lambda words: words, smooth_idf=True, norm="l2")
        vectors = vectorizer.fit_transform([terms[row] for row in documents]).tocsr()
        transposed = vectors.T.tocsr()
        for first in range(0, len(documents), BLOCK_ROWS):
            block = vectors[first : first + BLOCK_ROWS] @ transposed
            for index, (found, values) in enumerate(_lists(block, first, threshold)):
                lengths[documents[first + index]] = len(found)
                rows.append(documents[found])
                cosines.append(values)
            advance(block.shape[0])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return TextNeighbours(
        indptr=indptr,
        rows=np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int32),
        cosines=np.concatenate([np.empty(0), *cosines]),
        documents=len(documents),
    )


def _lists(
    block: scipy.sparse.csr_array, first: int, threshold: float
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Neighbours and cosines of each row of a block of the product matrix, in order."""
    lists = []
    for index in range(block.shape[0]):
        span = slice(block.indptr[index], block.indptr[index + 1])
        columns, values = block.indices[span].astype(np.int64), block.data[span]
        found = (values > threshold) & (columns != first + index)
        columns, values = columns[found], values[found]
        order = np.lexsort((columns, -values))
        lists.append((columns[order], values[order]))
    return lists
