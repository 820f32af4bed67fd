"""What is read on the images of a tuning: each image once, kept for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from export.descriptors.read_words import read_words
from export.descriptors.words_file import read_entries, words_file, words_line, write_entries
from export.output.folder import lock_folder
from export.progress import progress
from export.tuning.pooling_sweep import CACHE_IN_USE
from retrieval_server.errors import ImageError
from retrieval_server.models.preprocessing import read_bytes
from retrieval_server.reading.reader import ReadLine
from retrieval_server.text.read_text import ReadText, encode_read


@dataclass(frozen=True)
class ReadOnce:
    """Reads images, and keeps what was read by the digest of the file.

    Attributes:
        ensemble: name of a profile whose models the engine serves beside the reader's.
        engine: has the reader in its repository.
        reader: digest of the reader.
        cache: folder that keeps what was read.
    """

    ensemble: str
    engine: EngineChoice
    reader: str
    cache: Path

    def entries(self, images: Sequence[Path]) -> list[str]:
        """What is on each image, as an entry of ``text.read_text``; no lines on one that is none.

        Raises:
            RetrievalError: if an image file is gone, or the engine fails; what was read until then
                is kept.
            OSError: if the disk is full.
        """
        digests = [hashlib.sha256(read_bytes(image)).digest() for image in images]
        self.cache.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.cache, CACHE_IN_USE):
            found = self._read_all(dict(zip(digests, images, strict=True)))
        return [found[digest] for digest in digests]

    def _read_all(self, images: dict[bytes, Path]) -> dict[bytes, str]:
        path = self.cache / words_file(self.reader)
        found = read_entries(path)
        write_entries(path, found)  # without a line that a kill has cut off
        unread = [digest for digest in images if digest not in found]
        with (
            path.open("a", encoding="utf-8") as file,
            progress("words on images", len(images)) as advance,
        ):

            def keep(number: int, read: tuple[ReadLine, ...] | ImageError) -> None:
                digest = unread[number]
                lines = () if isinstance(read, ImageError) else read
                found[digest] = encode_read(
                    [ReadText(line.text, line.confidence) for line in lines]
                )
                file.write(words_line(digest, found[digest]))
                file.flush()
                advance(1)

            advance(len(images) - len(unread))
            read_words([images[digest] for digest in unread], self.ensemble, self.engine, keep)
        return found
