"""The words of a dataset's queries, and how similar the texts of its products are to them.

The words are those of a search: what the ground truth says that a person types, and what is read on
the photo. t does not depend on β, so a tuning computes it once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.image_reading import chosen_reader
from export.descriptors.read_words import read_words
from export.descriptors.words_file import read_entries, words_file, words_line, write_entries
from export.ground_truth.queries import Query
from export.index.stage_log import StageLog
from export.index.words import word_columns, write_words
from export.output.folder import lock_folder
from export.progress import progress
from export.tuning.pooling_sweep import CACHE_IN_USE
from retrieval_server.errors import ImageError
from retrieval_server.models.preprocessing import read_bytes
from retrieval_server.models.profile import Profile
from retrieval_server.reading.reader import ReadLine
from retrieval_server.text.grams import words_in
from retrieval_server.text.read_text import ReadText, decode_read, encode_read
from retrieval_server.text.word_search import WordSearch, words_beside


@dataclass(frozen=True)
class ImageReader:
    """Reads images with the reader of a profile.

    Attributes:
        profile: names the reader.
        engine: has the models of both in its repository.
        digest: digest of the reader.
    """

    profile: Profile
    engine: EngineChoice
    digest: str

    @classmethod
    def of(cls, profile: Profile, engine: EngineChoice) -> ImageReader:
        """Choose the reader of a profile.

        Raises:
            ModelRepositoryError: if the profile names none, or it is not exported.
        """
        return cls(profile, engine, chosen_reader(profile, engine.repository))

    def entries(self, images: Sequence[Path], cache: Path) -> list[str]:
        """Read images, each once; what was read is appended to a file in a folder.

        Args:
            images: image files.
            cache: the folder; no other run works in it.

        Returns:
            What was read on each, as an entry of ``text.read_text``.

        Raises:
            RetrievalError: if an image is missing, or the engine fails.
            OSError: if the file cannot be written.
        """
        digests = [hashlib.sha256(read_bytes(image)).digest() for image in images]
        path = cache / words_file(self.digest)
        found = read_entries(path)
        write_entries(path, found)  # without a line that a kill has cut off
        unread = {d: image for d, image in zip(digests, images, strict=True) if d not in found}
        names = list(unread)
        with (
            path.open("a", encoding="utf-8") as file,
            progress("words on images", len(unread)) as advance,
        ):

            def keep(number: int, read: tuple[ReadLine, ...] | ImageError) -> None:
                lines = () if isinstance(read, ImageError) else read
                entry = encode_read([ReadText(line.text, line.confidence) for line in lines])
                found[names[number]] = entry
                file.write(words_line(names[number], entry))
                file.flush()
                advance(1)

            read_words(list(unread.values()), self.profile.name, self.engine, keep)
        return [found[digest] for digest in digests]


@dataclass(frozen=True)
class WordSources:
    """Where the words of queries and products come from, besides typed words and descriptions.

    Attributes:
        cache: folder that keeps what was read, for the next run.
        reader: reads the photos of the queries; None reads none.
        reads_catalogue: whether it reads the images of the products too.
    """

    cache: Path
    reader: ImageReader | None = None
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
        reads = self.reader is not None and self.reads_catalogue
        images = [catalogue.image_path(product) for product in products] if reads else []
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            record = write_words(
                folder,
                products,
                word_columns(catalogue, None),
                StageLog(folder / "log.jsonl", source=""),
                reader=self.reader.digest if self.reader and reads else "",
                read=lambda: self._read(images),
            )
            return _all_cosines(WordSearch(folder, record), words, len(products))

    def _read(self, images: Sequence[Path]) -> list[str]:
        """The entries of images, from the cache where they were read before."""
        if self.reader is None:
            return [encode_read(())] * len(images)
        self.cache.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.cache, CACHE_IN_USE):
            return self.reader.entries(images, self.cache)


def _all_cosines(search: WordSearch, words: Sequence[str], products: int) -> NDArray[np.float64]:
    found = np.zeros((len(words), products))
    with progress("words of queries", len(words)) as advance:
        for row, text in zip(found, words, strict=True):
            cosines = search.cosines(text)
            row[cosines.rows] = cosines.cosines
            advance(1)
    return found
