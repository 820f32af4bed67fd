"""Compares the words of a query with the texts of all products: t(x) of the factor 1 + β t(x).

Each product has a text in every *field*: its description, and what was read from its image where
the index has that. t(x) is the largest of the cosines over the fields, each under the field's own
IDF. Only rows with a common n-gram have t > 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.text.grams import GRAMS, READ, WRITTEN, Codes, gram_codes, grams_of, words_in
from retrieval_server.text.inverted_file import PARTS, InvertedFile, nonzero
from retrieval_server.text.plain_text import plain_text

DESCRIPTION = "description"  # the field of the catalogue's texts
IMAGE = "image"  # the field of what was read from the products' images
RULES = {DESCRIPTION: WRITTEN, IMAGE: READ}  # how the texts of a field give n-grams
MAX_WORDS_CHARACTERS = 10_000  # of the words of a query
MATCHED_WORDS = 16  # of a product; a description may have thousands


@dataclass(frozen=True)
class FieldSizes:
    """Sizes of the inverted file of a field.

    Attributes:
        texts: number of texts with an n-gram.
        grams: number of different n-grams.
        postings: number of n-grams of all texts.
    """

    texts: int
    grams: int
    postings: int


@dataclass(frozen=True)
class WordsRecord:
    """What the manifest records about the words of the products.

    Attributes:
        grams: name of the rule that makes n-grams.
        columns: the columns of the catalogue that belong to the text besides the description.
        fields: sizes of the inverted file by field.
        reader: digest of the models and the rules that read the products' images; empty if none
            were read.
    """

    grams: str
    columns: tuple[str, ...]
    fields: Mapping[str, FieldSizes]
    reader: str = ""

    def to_json(self) -> dict[str, Any]:
        """This record as plain JSON values."""
        return asdict(self) | {"columns": list(self.columns)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WordsRecord:
        """Read what ``to_json`` wrote."""
        fields = {name: FieldSizes(**sizes) for name, sizes in data["fields"].items()}
        return cls(data["grams"], tuple(data["columns"]), fields, data["reader"])

    def text_of(self, description: str, attributes: Mapping[str, str]) -> str:
        """The text of a product that words are compared with.

        Args:
            description: the description.
            attributes: the values of the catalogue's further columns.
        """
        further = (plain_text(attributes.get(column, "")) for column in self.columns)
        return " ".join(filter(None, (description, *further)))


@dataclass(frozen=True)
class TextCosines:
    """t of the rows where it is above 0.

    Attributes:
        rows: (F,) int32, ascending.
        cosines: (F,) float64.
    """

    rows: NDArray[np.int32]
    cosines: NDArray[np.float64]

    def where(self, is_wanted: NDArray[np.bool_]) -> TextCosines:
        """Those of some of the rows, (F,)."""
        return TextCosines(self.rows[is_wanted], self.cosines[is_wanted])

    def best(self, count: int) -> NDArray[np.int32]:
        """The rows with the largest t, at most ``count``; of equal ones the smaller rows."""
        rows, cosines = self.rows, self.cosines
        if count < len(rows):  # only those that may be among the best are sorted
            is_near = cosines >= np.partition(cosines, -count)[-count]
            rows, cosines = rows[is_near], cosines[is_near]
        best: NDArray[np.int32] = rows[np.lexsort((rows, -cosines))[:count]]
        return best

    def of(self, row: int) -> float:
        """The t of a row; 0 for one that is not among them."""
        position = int(np.searchsorted(self.rows, row))
        is_there = position < len(self.rows) and self.rows[position] == row
        return float(self.cosines[position]) if is_there else 0.0


@dataclass(frozen=True)
class MatchedWord:
    """A word of a product that resembles the words of a query.

    Attributes:
        word: the word, folded.
        share: how many of its n-grams the query has, in (0, 1]; 1 for the same word.
    """

    word: str
    share: float


def distinct_grams(words: str) -> Codes:
    """The n-grams of the words of a query, each once, ascending."""
    return np.unique(grams_of([words], WRITTEN)[1])


def matched_words(wanted: Codes, text: str) -> tuple[MatchedWord, ...]:
    """The words of a product that have an n-gram in common with a query, the most similar first.

    Args:
        wanted: the query's; see ``distinct_grams``.
        text: the text of the product.

    Returns:
        At most ``MATCHED_WORDS``; of equally similar ones those that come first in the text.
    """
    distinct = list(dict.fromkeys(words_in(text)))
    numbers, codes = gram_codes([[word] for word in distinct])
    common = np.bincount(numbers, np.isin(codes, wanted), minlength=len(distinct))
    shares = common / np.maximum(1, np.bincount(numbers, minlength=len(distinct)))
    order = np.argsort(-shares, kind="stable")[:MATCHED_WORDS]
    return tuple(MatchedWord(distinct[n], float(shares[n])) for n in order if shares[n] > 0)


def too_many_words(words: str) -> str:
    """Say that the words of a query are too long; empty if they are not."""
    if len(words) <= MAX_WORDS_CHARACTERS:
        return ""
    return f"have {len(words):,} characters; at most {MAX_WORDS_CHARACTERS:,} are accepted."


def words_beside(typed: str, lines: Iterable[str]) -> str:
    """The words of a query: those that were typed, and below them the lines that were read.

    Args:
        typed: the words that were typed, which stay as they are.
        lines: the lines; those that do not fit into ``MAX_WORDS_CHARACTERS`` are left out.
    """
    words = typed
    for line in lines:
        longer = f"{words}\n{line}" if words else line
        if len(longer) > MAX_WORDS_CHARACTERS:
            break
        words = longer
    return words


def field_file(field: str) -> str:
    """The stem of the files of a field."""
    return f"words.{field}"


def word_files(record: WordsRecord) -> tuple[str, ...]:
    """The names of the files that a ``WordSearch`` opens."""
    return tuple(f"{field_file(field)}.{part}.npy" for field in record.fields for part in PARTS)


class WordSearch:
    """Compares words with the fields of texts of an index; any number of threads may.

    Args:
        folder: folder of the bundle.
        record: what the manifest says of it.

    Attributes:
        files: the inverted file of each field.

    Raises:
        IndexBundleError: if a file is missing or damaged, or made by another rule.
    """

    def __init__(self, folder: Path, record: WordsRecord) -> None:
        if record.grams != GRAMS:
            raise IndexBundleError(
                f"Index {folder} has the n-grams {record.grams!r}, this program makes {GRAMS!r}. "
                f"{REBUILD}"
            )
        self.record = record
        self.files = {field: InvertedFile(folder, field_file(field)) for field in record.fields}

    def lengths(self) -> set[int]:
        """The numbers of rows of the fields."""
        return {len(field) for field in self.files.values()}

    def cosines(self, words: str) -> TextCosines:
        """Compare words with the texts of all products.

        Raises:
            IndexBundleError: if a file is damaged.
        """
        largest = np.zeros(max(self.lengths(), default=0))
        for name, field in self.files.items():
            _, codes = grams_of([words], RULES[name])
            field.raise_to_cosines(codes, largest)
        return TextCosines(*nonzero(largest))
