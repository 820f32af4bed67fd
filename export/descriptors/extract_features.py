"""Descriptors of a whole catalogue, through the engine, in blocks that a kill does not lose.

Each block is one file (see ``block``), written under another name and renamed. A run keeps every
block that was made from the same images by the same models, and makes the others. The content of a
block does not depend on how often the work was interrupted, so the index does not either.

Descriptors of an image whose bytes an earlier index has described are taken from there (see
``reuse``). An image that cannot be read becomes a reject; the work goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.dataset.missing_image import MissingImages
from export.descriptors.block import (
    BLOCK_ROWS,
    CHANGED_MEANWHILE,
    Block,
    Reject,
    read_block,
    write_block,
)
from export.descriptors.reuse import ReusableDescriptors
from export.progress import Advance
from retrieval_server.engines.engine import ENGINES, PRECISIONS, Engine
from retrieval_server.errors import ImageError, RetrievalError
from retrieval_server.index.images import IMAGE_DIGEST_BYTES
from retrieval_server.models.preprocessing import PREPROCESSING, decode_image, read_bytes
from retrieval_server.models.profile import Profile

BLOCKS_AT_ONCE = 2  # so that the engine does not idle where one block ends


@dataclass(frozen=True)
class _Image:
    """An image that could be read.

    Attributes:
        digest: SHA-256 of its file.
        pixels: (S, S, 3) uint8; None where its descriptors are reused.
        descriptors: (C,) by model name; empty until the engine has computed them.
    """

    digest: bytes
    pixels: NDArray[np.uint8] | None
    descriptors: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class FeatureExtraction:
    """The extraction of descriptors from one catalogue by one profile.

    Attributes:
        catalogue: the products.
        profile: the backbones.
        digests: SHA-256 of each model's ONNX file, by name.
        folder: where the blocks are kept.
        precision: what the engine computes in; None for a Triton.
    """

    catalogue: Catalogue
    profile: Profile
    digests: Mapping[str, str]
    folder: Path
    precision: str | None = PRECISIONS[ENGINES[0]]

    @cached_property
    def _missing_images(self) -> MissingImages:
        return MissingImages(self.catalogue.path.parent)

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return -(-len(self.catalogue.rows) // BLOCK_ROWS)

    async def run(
        self,
        engine: Engine,
        in_flight: int,
        advance: Advance,
        reusable: ReusableDescriptors | None = None,
    ) -> int:
        """Make every block that is missing or outdated.

        Args:
            engine: computes the descriptors.
            in_flight: how many images are processed at the same time; a call of the engine gets as
                many of them as it handles best.
            advance: told the number of rows finished.
            reusable: descriptors that need not be computed; of the same models.

        Returns:
            How many images of the new blocks have reused descriptors.

        Raises:
            EngineError: if the engine fails; finished blocks stay and are not made again.
            OSError: if a block cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        reused = 0
        calls = asyncio.Semaphore(max(1, in_flight // engine.images_per_call))
        blocks = asyncio.Semaphore(BLOCKS_AT_ONCE)

        async def make(number: int) -> None:
            nonlocal reused
            async with blocks:
                if self.read(number) is None:
                    in_block = await self._make(number, engine, calls, reusable)
                    reused += in_block  # read only after the wait: another block may have added
                advance(len(self._rows(number)))

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.block_count):
                    group.create_task(make(number))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return reused

    def read(self, number: int) -> Block | None:
        """Read a block; None if it is missing, damaged or outdated."""
        try:
            block = read_block(self.path(number), self.profile.models)
        except Exception:  # zipfile raises anything on damaged data; the block is made again
            return None
        return block if block.key == self._key(number) else None

    def blocks(self) -> Iterator[Block]:
        """All blocks in order, one at a time.

        Raises:
            RetrievalError: if a block is missing or outdated.
        """
        for number in range(self.block_count):
            block = self.read(number)
            if block is None:
                raise RetrievalError(CHANGED_MEANWHILE)
            yield block

    async def _make(
        self,
        number: int,
        engine: Engine,
        calls: asyncio.Semaphore,
        reusable: ReusableDescriptors | None,
    ) -> int:
        """Make a block; return how many of its images have reused descriptors."""
        key = self._key(number)
        rows, size = self._rows(number), engine.images_per_call
        groups = [rows[first : first + size] for first in range(0, len(rows), size)]
        described = await asyncio.gather(
            *(self._describe(group, engine, calls, reusable) for group in groups)
        )
        images: dict[int, _Image] = {}
        rejects: list[Reject] = []
        for row, entry in enumerate(itertools.chain(*described), number * BLOCK_ROWS):
            if isinstance(entry, Reject):
                rejects.append(entry)
            else:
                images[row] = entry
        digests = b"".join(image.digest for image in images.values())
        block = Block(
            rows=np.array(list(images), dtype=np.int64),
            descriptors={
                model: np.array(
                    [image.descriptors[model] for image in images.values()], dtype=np.float32
                )
                for model in self.profile.models
            },
            image_digests=np.frombuffer(digests, np.uint8).reshape(-1, IMAGE_DIGEST_BYTES),
            rejects=tuple(rejects),
            key=key,
        )
        write_block(self.path(number), block)
        return sum(image.pixels is None for image in images.values())

    async def _describe(
        self,
        group: Sequence[CatalogueRow],
        engine: Engine,
        calls: asyncio.Semaphore,
        reusable: ReusableDescriptors | None,
    ) -> list[_Image | Reject]:
        """Read the images of some rows and describe them in one call of the engine."""
        async with calls:
            read = await asyncio.gather(
                *(asyncio.to_thread(self._read, row, reusable) for row in group)
            )
            new = [entry for entry in read if isinstance(entry, _Image) and not entry.descriptors]
            pixels = [image.pixels for image in new if image.pixels is not None]
            described = await engine.infer(self.profile.name, np.stack(pixels)) if new else {}
        for index, image in enumerate(new):
            image.descriptors.update({model: rows[index] for model, rows in described.items()})
        return list(read)

    def _read(self, row: CatalogueRow, reusable: ReusableDescriptors | None) -> _Image | Reject:
        try:
            data = read_bytes(self.catalogue.image_path(row))
            digest = hashlib.sha256(data).digest()
            if reusable is not None and (descriptors := reusable.find(digest)) is not None:
                return _Image(digest, None, descriptors)
            return _Image(digest, decode_image(data, self.profile.side), {})
        except ImageError as error:
            explanation = self._missing_images.explanation(row.image)
            return Reject(row.product_id, row.image, f"{error.problem} {explanation}".rstrip())

    def _rows(self, number: int) -> tuple[CatalogueRow, ...]:
        return self.catalogue.rows[number * BLOCK_ROWS : (number + 1) * BLOCK_ROWS]

    def path(self, number: int) -> Path:
        """The file of a block."""
        return self.folder / f"block-{number:07d}.npz"

    def _key(self, number: int) -> str:
        """Digest of all that a block depends on; of an image, its size and modification time."""
        source = {
            "preprocessing": PREPROCESSING,
            "side": self.profile.side,
            "models": dict(self.digests),
            "precision": self.precision,
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


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - half a million times
    except (OSError, ValueError):  # the latter if the system's encoding lacks a character
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
