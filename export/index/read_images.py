"""The words on the images of a catalogue: read once for each image, and kept by its digest.

A build appends what it has read to a file, from which the next run goes on after a kill. What the
current version has read with the same models is taken over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from export.descriptors.read_words import read_words
from export.progress import progress
from retrieval_server.errors import ImageError, ModelRepositoryError, RetrievalError
from retrieval_server.index.publish import open_images
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.profile import Profile
from retrieval_server.models.reader import EXPORT_READER, can_read
from retrieval_server.reading.reader import ReadLine, reader_digest
from retrieval_server.text.read_text import ReadText

Read = tuple[ReadText, ...]  # the lines of one image


@dataclass(frozen=True)
class ImageReading:
    """Reads the images of a catalogue with the reader of a profile.

    Attributes:
        profile: names the reader.
        engine: has it in its repository.
        reader: digest of the reader's models and of the rules by which it reads.
    """

    profile: Profile
    engine: EngineChoice
    reader: str

    @classmethod
    def by(cls, profile: Profile, engine: EngineChoice) -> ImageReading:
        """Choose the reader of a profile.

        Raises:
            ModelRepositoryError: if the profile names none, or it is not exported.
        """
        repository = ModelRepository(engine.repository)
        if profile.reader is None:
            raise ModelRepositoryError(
                f"Profile {profile.name} names no reader, so no images can be read. Add the line "
                'reader = "ppocr" to it, and leave --read-images out until then.'
            )
        if not can_read(profile, repository):
            raise ModelRepositoryError(
                f"The reader {profile.reader} is not in {repository.root}. Export it with: "
                f"{EXPORT_READER}"
            )
        return cls(profile, engine, reader_digest(repository))

    def read(
        self, images: Sequence[Path], digests: Sequence[bytes], folder: Path, index: Path | None
    ) -> list[Read]:
        """Read images, each digest once.

        Args:
            images: image files.
            digests: SHA-256 of each.
            folder: where what was read is kept until the build ends.
            index: index whose current version is asked first; None asks none.

        Returns:
            The lines of each image; none for one that cannot be read any more.

        Raises:
            RetrievalError: if the engine fails; what was read until then is kept.
            OSError: if the file cannot be written.
        """
        path = folder / f"read-{self.reader[:12]}.jsonl"
        found = {**self._known(index), **_kept(path)}
        unread = {d: image for d, image in zip(digests, images, strict=True) if d not in found}
        unread_digests = list(unread)
        with (
            path.open("a", encoding="utf-8") as file,
            progress("words on images", len(images)) as advance,
        ):

            def keep(number: int, read: tuple[ReadLine, ...] | ImageError) -> None:
                digest = unread_digests[number]
                lines = () if isinstance(read, ImageError) else read
                found[digest] = tuple(ReadText(line.text, line.confidence) for line in lines)
                file.write(json.dumps([digest.hex(), *found[digest]]) + "\n")
                file.flush()
                advance(1)

            advance(len(images) - len(unread))
            read_words(list(unread.values()), self.profile.name, self.engine, keep)
        return [found[digest] for digest in digests]

    def _known(self, index: Path | None) -> Mapping[bytes, Read]:
        """What the current version of an index has read with the same models, by digest."""
        if index is None:
            return {}
        try:
            known = open_images(index)
        except RetrievalError:
            return {}
        if known.manifest.words.reader != self.reader:
            return {}
        return {d.tobytes(): known.read(row) for row, d in enumerate(known.image_digests)}


def _kept(path: Path) -> Mapping[bytes, Read]:
    """What an earlier run has kept; a last line that a kill has cut off is dropped."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    lines = (json.loads(line) for line in whole.split("\n") if line)
    return {bytes.fromhex(d): tuple(ReadText(*line) for line in lines) for d, *lines in lines}
