"""The words of a query: the factor 1 + β t of each product, and what they have in common with it.

ŝ(x) = ∏ (1 + α_n s_n(x)) · (1 + β t(x)), with eq. (8) extended by one factor. Both stages of
Algorithm 1 rank by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import QueryError
from retrieval_server.exact_search.groups import AllowedRows, RowGroups
from retrieval_server.exact_search.row_factors import RowFactors
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import Match, Stage, WordsEvidence
from retrieval_server.text.grams import words_in
from retrieval_server.text.word_search import distinct_grams, matched_words

LONGER = 8  # how many times as long the next ranking is, where one has too few groups


def query_words(bundle: SearchedIndex, parameters: SearchParameters) -> QueryWords | None:
    """Compare the words of a query with an index; None where there are none, or they do not count.

    Args:
        bundle: the index.
        parameters: the words and their weight.
    """
    if not (parameters.weight_of_words(bundle.profile) and parameters.words.strip()):
        return None
    return QueryWords(bundle, parameters)


def sole_words(bundle: SearchedIndex, parameters: SearchParameters) -> QueryWords:
    """Compare words that are the whole query with an index.

    Args:
        bundle: the index.
        parameters: the words and their weight.

    Raises:
        QueryError: if there is nothing to compare, or the weight is 0.
    """
    if not parameters.weight_of_words(bundle.profile):
        raise QueryError("text_weight", "must be above 0 where words are the whole query.")
    if not words_in(parameters.words):
        raise QueryError("words", "need a letter or a digit where they are the whole query.")
    return QueryWords(bundle, parameters)


class QueryWords:
    """The words of one query, compared with every product of an index.

    Args:
        bundle: the index.
        parameters: the words and their weight.
    """

    def __init__(self, bundle: SearchedIndex, parameters: SearchParameters) -> None:
        self._bundle, self._grams = bundle, distinct_grams(parameters.words)
        self._weight = parameters.weight_of_words(bundle.profile)
        self._cosines = bundle.words.cosines(parameters.words)
        self._evidence: dict[int, WordsEvidence] = {}

    @property
    def factors(self) -> RowFactors:
        """1 + β t of the products with t > 0."""
        return RowFactors(self._cosines.rows, 1 + self._weight * self._cosines.cosines)

    def explained(self, matches: Iterable[Match]) -> tuple[Match, ...]:
        """Matches with the evidence of the words."""
        found = tuple(matches)
        self._compare(match.row for match in found)
        return tuple(replace(match, words=self._evidence[match.row]) for match in found)

    def ranked(
        self,
        top_k: int,
        allowed: AllowedRows | None,
        least: float | None,
        groups: RowGroups | None,
    ) -> tuple[Match, ...]:
        """The products by t alone, best first; those with t = 0 are not among them.

        Args:
            top_k: how many at most.
            allowed: which rows may be found; None for all.
            least: the similarity 1 + β t that a match has at least; None for any.
            groups: groups of the products, of each of which the best is found; None finds any.
        """
        rows = self._best(top_k, allowed, groups).tolist()
        matches = [
            Match(row, 1 + self._weight * self._cosines.of(row), (), Stage.INITIAL) for row in rows
        ]
        return self.explained(
            match for match in matches if least is None or match.similarity >= least
        )

    def _best(
        self, count: int, allowed: AllowedRows | None, groups: RowGroups | None
    ) -> NDArray[np.int32]:
        cosines = self._cosines
        if isinstance(allowed, np.ndarray):  # costs nothing; a store is asked for few rows only
            cosines, allowed = cosines.where(allowed[cosines.rows]), None
        length = count = count if groups is None else min(count, groups.count)
        ranked = found = np.empty(0, np.int32)
        while True:  # mostly a short ranking has enough; to sort all rows takes long
            longer = cosines.best(length)
            further = longer[len(ranked) :]
            found = np.append(found, further if allowed is None else further[allowed[further]])
            if groups is not None:
                found = found[groups.first_of_each(found, count)]
            if len(found) >= count or len(longer) < length:
                return found[:count]
            ranked, length = longer, LONGER * length

    def _compare(self, rows: Iterable[int]) -> None:
        """Find the evidence of some rows, where it is not known."""
        new = [row for row in dict.fromkeys(rows) if row not in self._evidence]
        products, lines = self._bundle.products(new), self._bundle.lines_read(new)
        for row in new:
            product = products[row]
            text = self._bundle.manifest.words.text_of(product.description, product.attributes)
            text = "\n".join([text, *(line.text for line in lines[row])])
            cosine = self._cosines.of(row)
            self._evidence[row] = WordsEvidence(cosine, matched_words(self._grams, text))
