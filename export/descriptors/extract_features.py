"""Descriptors of a whole catalogue, through the engine, in blocks that survive a kill.

Each block of ``BLOCK_ROWS`` catalogue rows becomes one file, written aside and renamed. A block
that is there and was made from the same images by the same models is not made again. A block's
content does not depend on how the work was cut or interrupted, so neither does the index.

An image whose very bytes an earlier index has described already is not described again; see
known_descriptors. An unreadable image is a reject: it is reported, and the rest goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.descriptors.known_descriptors import KnownDescriptors
from export.progress import Advance
from retrieval_server.engines.engine import Engine
from retrieval_server.errors import ImageError, RetrievalError
from retrieval_server.index.bundle import IMAGE_DIGEST_BYTES
from retrieval_server.models.preprocessing import PREPROCESSING, decode_image, read_bytes
from retrieval_server.models.profile import Profile

BLOCK_ROWS = 64
BLOCKS_AT_ONCE = 2  # so that the engine does not idle where one block ends


@dataclass(frozen=True)
class Reject:
    """A catalogue row that is not in the index.

    Attributes:
        product_id: its id.
        image: its image, as the catalogue has it.
        reason: why.
    """

    product_id: str
    image: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Descriptors of a run of catalogue rows.

    Attributes:
        rows: (M,) int64, catalogue rows whose image could be read, ascending.
        descriptors: (M, C) float32 by model name.
        image_digests: (M, 32) uint8, SHA-256 of their image files.
        rejects: the other rows.
        key: digest of all that they depend on.
    """

    rows: NDArray[np.int64]
    descriptors: Mapping[str, NDArray[np.float32]]
    image_digests: NDArray[np.uint8]
    rejects: tuple[Reject, ...]
    key: str


@dataclass(frozen=True)
class _Image:
    """An image that was read: its digest, its pixels unless it was known, its descriptors."""

    digest: bytes
    pixels: NDArray[np.uint8] | None
    descriptors: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class FeatureExtraction:
    """One catalogue described by one profile.

    Attributes:
        catalogue: the products.
        profile: the backbones.
        digests: SHA-256 of each model's ONNX file, by name.
        folder: where the blocks are kept.
    """

    catalogue: Catalogue
    profile: Profile
    digests: Mapping[str, str]
    folder: Path

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return -(-len(self.catalogue.rows) // BLOCK_ROWS)

    async def run(
        self,
        engine: Engine,
        in_flight: int,
        advance: Advance,
        known: KnownDescriptors | None = None,
    ) -> int:
        """Make every block that is not there yet.

        Args:
            engine: computes the descriptors.
            in_flight: images in work at the same time; in groups of as many as a call best has.
            advance: told the number of rows finished.
            known: descriptors that need not be computed; of the same models.

        Returns:
            How many images of these blocks were known.

        Raises:
            EngineError: if the engine fails; what is finished stays and is not made again.
            OSError: if a block cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        found = 0
        calls = asyncio.Semaphore(max(1, in_flight // engine.images_per_call))
        blocks = asyncio.Semaphore(BLOCKS_AT_ONCE)

        async def make(number: int) -> None:
            nonlocal found
            async with blocks:
                if self.read(number) is None:
                    known_images = await self._make(number, engine, calls, known)
                    found += known_images  # after the wait: another block may have counted in it
                advance(len(self._rows(number)))

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.block_count):
                    group.create_task(make(number))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return found

    def read(self, number: int) -> Block | None:
        """Read a block; None if it is not there or was made from something else."""
        try:
            block = read_block(self.path(number), self.profile.models)
        except Exception:  # zipfile raises anything on damaged data; the block is made again
            return None
        return block if block.key == self._key(number) else None

    def blocks(self) -> Iterator[Block]:
        """All blocks in order, one at a time.

        Raises:
            RetrievalError: if one is missing or outdated.
        """
        for number in range(self.block_count):
            block = self.read(number)
            if block is None:
                raise RetrievalError(
                    "An image or a model changed during the build. Run the same command again."
                )
            yield block

    async def _make(
        self,
        number: int,
        engine: Engine,
        calls: asyncio.Semaphore,
        known: KnownDescriptors | None,
    ) -> int:
        """Make a block; how many of its images were known."""
        key = self._key(number)
        rows, size = self._rows(number), engine.images_per_call
        groups = [rows[first : first + size] for first in range(0, len(rows), size)]
        described = list(
            itertools.chain(
                *await asyncio.gather(
                    *(self._describe(group, engine, calls, known) for group in groups)
                )
            )
        )
        rejects = [asdict(entry) for entry in described if isinstance(entry, Reject)]
        kept = {
            number * BLOCK_ROWS + index: entry
            for index, entry in enumerate(described)
            if not isinstance(entry, Reject)
        }
        arrays = {
            _array(model): np.array(
                [entry.descriptors[model] for entry in kept.values()], dtype=np.float32
            )
            for model in self.profile.models
        }
        digests = b"".join(entry.digest for entry in kept.values())
        scratch = self.path(number).with_suffix(".partial")
        with scratch.open("wb") as file:
            np.savez(
                file,
                key=np.frombuffer(key.encode(), np.uint8),
                rows=np.array(list(kept), dtype=np.int64),
                rejects=np.frombuffer(json.dumps(rejects).encode(), np.uint8),
                image_digests=np.frombuffer(digests, np.uint8).reshape(-1, IMAGE_DIGEST_BYTES),
                allow_pickle=False,
                **arrays,
            )
        scratch.replace(self.path(number))
        return sum(entry.pixels is None for entry in kept.values())

    async def _describe(
        self,
        group: Sequence[CatalogueRow],
        engine: Engine,
        calls: asyncio.Semaphore,
        known: KnownDescriptors | None,
    ) -> list[_Image | Reject]:
        """Each image with its descriptors (C,) by model name, or why there are none."""
        async with calls:
            read = await asyncio.gather(
                *(asyncio.to_thread(self._read, row, known) for row in group)
            )
            new = [entry for entry in read if isinstance(entry, _Image) and not entry.descriptors]
            pixels = [entry.pixels for entry in new if entry.pixels is not None]
            described = await engine.infer(self.profile.name, np.stack(pixels)) if new else {}
        for number, entry in enumerate(new):
            entry.descriptors.update({model: rows[number] for model, rows in described.items()})
        return list(read)

    def _read(self, row: CatalogueRow, known: KnownDescriptors | None) -> _Image | Reject:
        try:
            data = read_bytes(self.catalogue.image_path(row))
            digest = hashlib.sha256(data).digest()
            if known is not None and (descriptors := known.find(digest)) is not None:
                return _Image(digest, None, descriptors)
            return _Image(digest, decode_image(data, self.profile.side), {})
        except ImageError as error:
            return Reject(row.product_id, row.image, str(error).removeprefix(f"{error.field}: "))

    def _rows(self, number: int) -> tuple[CatalogueRow, ...]:
        return self.catalogue.rows[number * BLOCK_ROWS : (number + 1) * BLOCK_ROWS]

    def path(self, number: int) -> Path:
        """Where a block is kept."""
        return self.folder / f"block-{number:07d}.npz"

    def _key(self, number: int) -> str:
        """Digest of all that a block depends on; of images, their size and time of change."""
        source = {
            "preprocessing": PREPROCESSING,
            "side": self.profile.side,
            "models": dict(self.digests),
            "images": [
                (row.product_id, row.image, *_size_and_time(self.catalogue.image_path(row)))
                for row in self._rows(number)
            ],
        }
        return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()

    def key(self, more: str) -> str:
        """Digest of all that the descriptors depend on, and of another text."""
        keys = "".join(self._key(number) for number in range(self.block_count))
        return hashlib.sha256((keys + more).encode()).hexdigest()


def read_block(path: Path, models: Sequence[str]) -> Block:
    """Read the file of a block.

    Args:
        path: the file.
        models: names of the models.

    Raises:
        Exception: of any class, if it is missing or damaged.
    """
    # np.load closes a file it opened itself only if all goes well.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        rejects = json.loads(file["rejects"].tobytes())
        return Block(
            rows=file["rows"],
            descriptors={model: file[_array(model)] for model in models},
            image_digests=file["image_digests"],
            rejects=tuple(Reject(**reject) for reject in rejects),
            key=file["key"].tobytes().decode(),
        )


def _array(model: str) -> str:
    """Name of a model's array in a block; a model may be called ``rows``."""
    return f"descriptors.{model}"


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - half a million times
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
