"""Shards that are finished: opened for a merge into one index, or refused with a reason."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.descriptors.block import Block, read_block
from export.descriptors.shard_manifest import (
    PRODUCTS_FILE,
    SHARD_FILE,
    ShardManifest,
    read_shard_manifest,
)
from export.descriptors.shards import Shard, shard_numbers
from export.descriptors.words_file import read_entries, words_file
from export.output.finished_folder import damaged_files
from export.progress import progress
from retrieval_server.errors import ModelMismatchError, ShardError
from retrieval_server.index.reference_image import check_reference, open_reference
from retrieval_server.models.preprocessing import PREPROCESSING

EXTRACT = "Make its shards with: beauty-export extract CATALOGUE --output FOLDER"
NAMED = 5  # missing shards to name in an error
_FOLDER = re.compile(r"shard-(\d{5,})-of-(\d{5,})")


@dataclass(frozen=True)
class FinishedShard:
    """Descriptors, and perhaps words, of some rows of a catalogue.

    Attributes:
        folder: the shard's folder.
        manifest: what the descriptors were computed from.
        rows: (M,) int64, the catalogue's row of each product, in the shard's order.
    """

    folder: Path
    manifest: ShardManifest
    rows: NDArray[np.int64]

    def blocks(self) -> Iterator[Block]:
        """Read the blocks one after the other; their rows count from the shard's first product."""
        for name in self.manifest.blocks:
            yield read_block(self.folder / name, tuple(self.manifest.models))

    def words(self) -> Mapping[bytes, str]:
        """What was read on the images, as entries of ``text.read_text``, by digest."""
        return read_entries(self.folder / words_file(self.manifest.reader))

    def reference_descriptors(self) -> Mapping[str, NDArray[np.float32]]:
        """The descriptors (C,) of the reference image by model name."""
        return open_reference(self.folder, self.manifest.models)


def finished_manifests(folder: Path, count: int | None) -> list[ShardManifest]:
    """Read the manifests of all shards of a catalogue.

    Args:
        folder: holds one folder for each shard.
        count: how many shards there are; None takes the only count that the folder holds.

    Raises:
        ShardError: if a shard is missing or not finished; names it.
    """
    count = _count(folder) if count is None else count
    manifests = [_manifest(folder, Shard(number, count)) for number in range(count)]
    if missing := [number for number, manifest in enumerate(manifests) if manifest is None]:
        named = ", ".join(map(str, missing[:NAMED])) + (" …" if len(missing) > NAMED else "")
        raise ShardError(
            f"Of the {count} shards in {folder}, {len(missing)} are missing or not finished: "
            f"{named}. Make each with: beauty-export extract CATALOGUE --output {folder} "
            f"--shards {count} --shard NUMBER"
        )
    return list(filter(None, manifests))


def open_shards(
    folder: Path,
    manifests: Sequence[ShardManifest],
    catalogue: Catalogue,
    models: Mapping[str, str],
    side: int,
) -> list[FinishedShard]:
    """Open all shards of a catalogue and compare every file with its checksum.

    Args:
        folder: holds one folder for each shard.
        manifests: those of all shards, as ``finished_manifests`` returns them.
        catalogue: the products.
        models: SHA-256 of each model's ONNX file, by name.
        side: side of the models' input, in pixels.

    Raises:
        ShardError: if a shard is damaged, or of another catalogue or model; names it.
    """
    numbers = shard_numbers(catalogue, len(manifests))
    shards = []
    with progress("shards", len(manifests)) as advance:
        for manifest in manifests:
            shard = folder / manifest.shard.folder_name
            _check_source(shard, manifest, models, side)
            _check_files(shard, manifest)
            rows = np.flatnonzero(numbers == manifest.shard.number)
            shards.append(FinishedShard(shard, manifest, _in_shards_order(shard, catalogue, rows)))
            advance(1)
    _check_precisions(shards)
    _check_reference_descriptors(shards)
    return shards


def shards_reader(folder: Path, manifests: Sequence[ShardManifest]) -> str:
    """The digest of what read the images of all shards; empty if none were read.

    Args:
        folder: holds one folder for each shard.
        manifests: those of all shards, as ``finished_manifests`` returns them.

    Raises:
        ShardError: if some shards were read and others not.
    """
    read = [manifest for manifest in manifests if manifest.reader]
    unread = [manifest for manifest in manifests if not manifest.reader]
    if read and unread:
        with_words, without = (folder / each[0].shard.folder_name for each in (read, unread))
        raise ShardError(
            f"{with_words} was made with --read-images, {without} without it. "
            f"{again(unread[0], reads_images=True)}"
        )
    return manifests[0].reader


def check_reader(folder: Path, manifests: Sequence[ShardManifest], reader: str) -> None:
    """Refuse shards whose images were not read, or not by a reader.

    Args:
        folder: holds one folder for each shard.
        manifests: those of all shards, as ``finished_manifests`` returns them.
        reader: digest of the reader.

    Raises:
        ShardError: naming the first one.
    """
    for manifest in manifests:
        shard = folder / manifest.shard.folder_name
        if not manifest.reader:
            raise ShardError(
                f"{shard} was made without --read-images. {again(manifest, reads_images=True)}"
            )
        if manifest.reader != reader:
            raise ShardError(
                f"{shard} was read by a reader of digest {manifest.reader[:12]}, the model "
                f"repository has {reader[:12]}. {again(manifest)}"
            )


def remove_shards(folder: Path, manifests: Sequence[ShardManifest]) -> None:
    """Remove shards that are merged.

    The manifests go last: if the removal is interrupted, the same merge finds them, has nothing to
    do, and removes what is left.

    Args:
        folder: holds one folder for each shard; it is removed, too, if nothing else is in it.
        manifests: those of all shards.
    """
    shards = [folder / manifest.shard.folder_name for manifest in manifests]
    for shard in shards:
        for path in shard.iterdir():
            if path.name != SHARD_FILE and not path.is_dir():
                path.unlink()
    for shard in shards:
        shutil.rmtree(shard)
    with contextlib.suppress(OSError):
        folder.rmdir()


def again(manifest: ShardManifest, *, reads_images: bool = False) -> str:
    """Say how to replace a shard that is refused.

    Args:
        manifest: of the shard.
        reads_images: whether its images are to be read, as they are if they were before.
    """
    option = " --read-images" if reads_images or manifest.reader else ""
    return (
        f"Run again: beauty-export extract … --shards {manifest.shard.count} --shard "
        f"{manifest.shard.number}{option}; what fits is kept."
    )


def _count(folder: Path) -> int:
    if not folder.is_dir():
        raise ShardError(f"There is no folder {folder}. {EXTRACT}")
    names = (_FOLDER.fullmatch(path.name) for path in folder.iterdir())
    counts = sorted({int(name[2]) for name in names if name})
    if not counts:
        raise ShardError(f"{folder} holds no shard. {EXTRACT}")
    if len(counts) > 1:
        raise ShardError(
            f"{folder} holds shards of several numbers: {', '.join(map(str, counts))}. Say which "
            "to take with --shards, or remove the others."
        )
    return counts[0]


def _manifest(folder: Path, shard: Shard) -> ShardManifest | None:
    manifest = read_shard_manifest(folder / shard.folder_name)
    if manifest is not None and manifest.shard != shard:
        raise ShardError(
            f"{folder / shard.folder_name / SHARD_FILE} says that it is shard "
            f"{manifest.shard.number} of {manifest.shard.count}: the folder was renamed. Name it "
            f"{manifest.shard.folder_name} again."
        )
    return manifest


def _check_source(
    folder: Path, manifest: ShardManifest, models: Mapping[str, str], side: int
) -> None:
    """Refuse a shard whose descriptors come from other models than those of the profile."""
    if set(manifest.models) != set(models):
        raise ShardError(
            f"{folder} was made by the models {sorted(manifest.models)}, the profile has "
            f"{sorted(models)}. {again(manifest)}"
        )
    for name, digest in models.items():
        if manifest.models[name] != digest:
            raise ShardError(
                f"{folder} was made by {name} of digest {manifest.models[name][:12]}, the model "
                f"repository has {digest[:12]}. {again(manifest)}"
            )
    if (manifest.side, manifest.preprocessing) != (side, PREPROCESSING):
        raise ShardError(
            f"{folder} was made from images of side {manifest.side} pre-processed by "
            f"{manifest.preprocessing!r}, here it is {side} and {PREPROCESSING!r}. "
            f"{again(manifest)}"
        )


def _check_files(folder: Path, manifest: ShardManifest) -> None:
    for path in damaged_files(folder, manifest.files):
        raise ShardError(f"{path} is missing or differs from its checksum. {again(manifest)}")


def _in_shards_order(
    folder: Path, catalogue: Catalogue, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The catalogue's rows of a shard, (M,), in the order in which it describes them."""
    described = [tuple(entry) for entry in json.loads((folder / PRODUCTS_FILE).read_text("utf-8"))]
    row_of = {_identity(catalogue.rows[row]): row for row in rows}
    if strange := sorted(row_of.keys() ^ set(described)):
        product_id, image = strange[0]
        raise ShardError(
            f"{folder} was made from another catalogue: {len(strange):,} products differ, such as "
            f"{product_id!r} with the image {image!r}. Run beauty-export extract again, for every "
            "shard; what fits is kept."
        )
    return np.array([row_of[entry] for entry in described], dtype=np.int64)


def _identity(row: CatalogueRow) -> tuple[str, str]:
    return (row.product_id, row.image)


def _check_precisions(shards: Sequence[FinishedShard]) -> None:
    """Refuse shards of engines that are known to compute in different precisions."""
    known = [shard for shard in shards if shard.manifest.precision is not None]
    for other in known[1:]:
        if other.manifest.precision != known[0].manifest.precision:
            raise ShardError(
                f"{known[0].folder} was described in {known[0].manifest.precision}, {other.folder} "
                f"in {other.manifest.precision}. Use one engine for all shards: extract the others "
                "again with beauty-export extract"
            )


def _check_reference_descriptors(shards: Sequence[FinishedShard]) -> None:
    """Refuse shards from machines that compute different descriptors of the reference image."""
    first = shards[0]
    expected = first.reference_descriptors()
    for other in shards[1:]:
        computed = {
            model: descriptor[None] for model, descriptor in other.reference_descriptors().items()
        }
        try:
            check_reference(str(first.folder), expected, computed)
        except ModelMismatchError as error:
            raise ShardError(
                f"{first.folder} and {other.folder} were not computed alike: their descriptors of "
                "the reference image differ. Use one engine and one precision for all shards, "
                f"remove the folder that is wrong, and extract it again."
            ) from error
