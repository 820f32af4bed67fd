"""The words on the images of a shard: read once for each image, and kept by its digest.

A run appends what it reads to a file (see ``words_file``), from which the next run goes on after a
kill. What an index has read with the same models is taken over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from export.descriptors.block import CHANGED_MEANWHILE
from export.descriptors.read_words import read_photos
from export.descriptors.shard_manifest import Unread
from export.descriptors.words_file import read_entries, words_file, words_line, write_entries
from export.progress import Advance
from retrieval_server.engines.engine import Engine
from retrieval_server.errors import EngineError, ImageError, ModelRepositoryError, RetrievalError
from retrieval_server.index.publish import open_images
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo, decode_photo
from retrieval_server.models.preprocessing import read_bytes
from retrieval_server.models.profile import Profile
from retrieval_server.models.reader import EXPORT_READER, can_read
from retrieval_server.reading.reader import ReadLine, compile_reader, open_reader, reader_digest
from retrieval_server.text.read_text import NOT_READ, ReadText, encode_read


def chosen_reader(profile: Profile, repository: Path) -> str:
    """The digest of a profile's reader.

    Args:
        profile: names the reader.
        repository: the folder with its models.

    Raises:
        ModelRepositoryError: if the profile names none, or it is not exported.
    """
    models = ModelRepository(repository)
    if profile.reader is None:
        raise ModelRepositoryError(
            f"Profile {profile.name} names no reader, so no images can be read. Add the line "
            'reader = "ppocr" to it, and leave --read-images out until then.'
        )
    if not can_read(profile, models):
        raise ModelRepositoryError(
            f"The reader {profile.reader} is not in {models.root}. Export it with: {EXPORT_READER}"
        )
    return reader_digest(models)


@dataclass(frozen=True)
class ImageReading:
    """Reads the images of a shard.

    Attributes:
        repository: the folder with the reader's models.
        reader: its digest.
        folder: the folder of the shard.
        reuse: an index from which what was read is taken over; None for none.
    """

    repository: Path
    reader: str
    folder: Path
    reuse: Path | None = None

    async def run(self, engine: Engine, images: Mapping[bytes, Path], advance: Advance) -> Unread:
        """Read images that were not read before, and finish the file of the words.

        Args:
            engine: opened with ``READER_MODELS``.
            images: the image files by digest, in the order of the products.
            advance: told the number of images finished.

        Returns:
            The images on which the reader failed; the next run tries them again.

        Raises:
            RetrievalError: if the engine fails, or an image has changed; what was read until then
                is kept.
            OSError: if the file cannot be written.
        """
        path = self.folder / words_file(self.reader)
        found = {
            digest: entry
            for entries in (self._known(), read_entries(path))
            for digest, entry in entries.items()
            if digest in images and entry != NOT_READ
        }
        write_entries(path, found)
        if found:
            advance(len(found))
        unread = [(digest, image) for digest, image in images.items() if digest not in found]
        failures = await self._read(engine, unread, found, path, advance) if unread else {}
        write_entries(path, {digest: found.get(digest, NOT_READ) for digest in images})
        named = [f"{images[digest]}: {error}" for digest, error in failures.items()]
        return Unread(len(named), named[0] if named else "")

    async def _read(
        self,
        engine: Engine,
        unread: Sequence[tuple[bytes, Path]],
        found: dict[bytes, str],
        path: Path,
        advance: Advance,
    ) -> dict[bytes, EngineError]:
        """Read images, add what was read to ``found`` and to the file; return the failures."""
        compile_reader()
        reader = open_reader(ModelRepository(self.repository), engine)
        failures: dict[bytes, EngineError] = {}
        with path.open("a", encoding="utf-8") as file:

            def keep(number: int, read: tuple[ReadLine, ...] | ImageError | EngineError) -> None:
                digest, _ = unread[number]
                advance(1)
                if isinstance(read, EngineError):
                    failures[digest] = read
                    return
                lines = () if isinstance(read, ImageError) else read
                found[digest] = encode_read(
                    [ReadText(line.text, line.confidence) for line in lines]
                )
                file.write(words_line(digest, found[digest]))
                file.flush()

            photos = [partial(_photo, image, digest) for digest, image in unread]
            await read_photos(photos, reader, engine.in_flight, keep)
        return failures

    def _known(self) -> dict[bytes, str]:
        """What the index has read with the same models, by digest."""
        if self.reuse is None:
            return {}
        try:
            known = open_images(self.reuse)
            if known.manifest.words.reader != self.reader:
                return {}
            known.verify(known.word_files)
        except RetrievalError:
            return {}
        return {d.tobytes(): known.read_entry(row) for row, d in enumerate(known.image_digests)}


def _photo(image: Path, digest: bytes) -> Photo:
    """Decode an image for reading, unless its file has another digest by now."""
    try:
        data = read_bytes(image)
    except ImageError as error:
        raise RetrievalError(CHANGED_MEANWHILE) from error
    if hashlib.sha256(data).digest() != digest:
        raise RetrievalError(CHANGED_MEANWHILE)
    return decode_photo(data)
