"""The words of a dataset's queries, and how similar the texts of its products are to them.

The words are those of a search: what the ground truth says that a person types, and what is read on
the photo. t does not depend on β, so a tuning computes it once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.dataset.ground_truth import Query
from export.index.stage_log import StageLog
from export.index.words import word_columns, write_words
from export.progress import progress
from export.tuning.read_once import ReadOnce
from retrieval_server.text.grams import words_in
from retrieval_server.text.read_text import decode_read, encode_read
from retrieval_server.text.word_search import WordSearch, words_beside


@dataclass(frozen=True)
class WordSources:
    """Where the words of queries and products come from, besides typed words and descriptions.

    Attributes:
        reader: reads the photos of the queries; None reads none.
        reads_catalogue: whether it reads the images of the products too.
    """

    reader: ReadOnce | None = None
    reads_catalogue: bool = False

    def cosines(
        self, catalogue: Catalogue, products: Sequence[CatalogueRow], queries: Sequence[Query]
    ) -> NDArray[np.float64] | None:
        """Compare the words of queries with the texts of products, as an index does.

        Args:
            catalogue: the whole catalogue, which says where the images are.
            products: those of its products that are searched.
            queries: the queries; their images can be read.

        Returns:
            t, (Q, N) float64; None where no query has words.

        Raises:
            RetrievalError: if an image cannot be read any more, or the engine fails.
            OSError: if the disk is full.
        """
        read = self._read([query.image for query in queries])
        words = [
            words_beside(query.words, (line.text for line in decode_read(entry)))
            for query, entry in zip(queries, read, strict=True)
        ]
        if not any(map(words_in, words)):
            return None
        reader = self.reader.reader if self.reader and self.reads_catalogue else ""
        images = [catalogue.image_path(product) for product in products]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            record = write_words(
                folder,
                products,
                word_columns(catalogue, None),
                StageLog(folder / "log.jsonl", source=""),
                reader=reader,
                read=lambda: self._read(images),
            )
            return _all_cosines(WordSearch(folder, record), words, len(products))

    def _read(self, images: Sequence[Path]) -> list[str]:
        """What is on images, as entries of ``text.read_text``."""
        return (
            [encode_read([])] * len(images) if self.reader is None else self.reader.entries(images)
        )


def _all_cosines(search: WordSearch, words: Sequence[str], products: int) -> NDArray[np.float64]:
    found = np.zeros((len(words), products))
    with progress("words of queries", len(words)) as advance:
        for row, text in zip(found, words, strict=True):
            cosines = search.cosines(text)
            row[cosines.rows] = cosines.cosines
            advance(1)
    return found
