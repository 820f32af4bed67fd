"""How often each text has each word: the counts of scikit-learn's ``CountVectorizer``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from export.words.lines import AsciiRule, plain_lines, word_lines
from export.words.numbers import Vocabulary, number_words
from retrieval_server.compilation import compiled
from retrieval_server.text.plain_text import plain_text
from retrieval_server.text.tokens import Tokeniser, strip_accents_tokens


def count_words(
    texts: Sequence[str], tokeniser: Tokeniser
) -> tuple[tuple[str, ...], scipy.sparse.csr_matrix]:
    """Count the terms of texts.

    Args:
        texts: the texts.
        tokeniser: one of ``tokens.TOKENISERS``.

    Returns:
        The vocabulary in alphabetical order, and counts (N, V) int32 in order of terms.
    """
    vocabulary = Vocabulary()
    if tokeniser is strip_accents_tokens:
        found = number_words(texts, _plain_lines, AsciiRule.TERMS, vocabulary)
    else:
        found = number_words(
            texts, lambda some: word_lines(some, tokeniser), AsciiRule.SPACES, vocabulary
        )
    pieces = list(found)
    sizes = np.concatenate([np.zeros(1, np.int64), *(piece.sizes for piece in pieces)])
    numbers = np.concatenate([np.empty(0, np.int32), *(piece.numbers for piece in pieces)])
    terms = vocabulary.words()
    order = sorted(range(len(terms)), key=terms.__getitem__)
    rank = np.empty(len(terms), np.int32)
    rank[order] = np.arange(len(terms), dtype=np.int32)
    indptr, indices, counts = _counts(numbers, np.cumsum(sizes), rank)
    matrix = scipy.sparse.csr_matrix((counts, indices, indptr), (len(texts), len(terms)))
    return tuple(terms[number] for number in order), matrix


def _plain_lines(texts: Sequence[str]) -> list[str]:
    return plain_lines(map(plain_text, texts))


@compiled
def _counts(
    numbers: NDArray[np.int32], starts: NDArray[np.int64], rank: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Spans of the rows, the ranks of their distinct words, ascending, and how often they come."""
    indptr = np.zeros(len(starts), np.int64)
    indices = np.empty(len(numbers), np.int32)
    counts = np.empty(len(numbers), np.int32)
    entries = 0
    for row in range(len(starts) - 1):
        words = rank[numbers[starts[row] : starts[row + 1]]]
        words.sort()
        for place in range(len(words)):
            if place and words[place] == words[place - 1]:
                counts[entries - 1] += 1
            else:
                indices[entries], counts[entries] = words[place], 1
                entries += 1
        indptr[row + 1] = entries
    return indptr, indices[:entries].copy(), counts[:entries].copy()
