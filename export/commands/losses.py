"""What a new version would lose of the current one, told before the long work begins.

The build compares the finished versions, too (see ``retrieval_server.index.loss``). A share that is
not mounted, or a feed that was cut short, shows without opening an image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from export.commands.messages import Message
from export.dataset.catalogue import Catalogue
from export.dataset.missing_image import MissingImages
from export.descriptors.shards import Shard
from export.index.taken_changes import TakenChanges, read_taken
from retrieval_server.errors import CatalogueError, IndexBundleError, IndexLossError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.loss import LostShare, missing_images, missing_products
from retrieval_server.index.publish import readable_current


def lost_products(catalogue: Catalogue, index: Path, max_loss: float) -> Iterator[Message]:
    """Warn if too many products of the current version are not in the catalogue.

    Args:
        catalogue: the catalogue that the new version is built from.
        index: the index folder.
        max_loss: the largest share of products that may be lost.
    """
    version = readable_current(index)
    if version is None:
        return
    try:
        missing = missing_products(index / version, (row.product_id for row in catalogue.rows))
    except IndexBundleError:
        return  # nothing to compare with
    if missing.share > max_loss:
        yield Message(
            f"{catalogue.path} lacks products of the current version {version}: {missing}. The new "
            f"version will not be published, since --max-loss is {max_loss:g}.",
            is_warning=True,
        )


def undone_changes(catalogue: Catalogue, index: Path) -> Iterator[Message]:
    """Warn if a catalogue undoes changes that were made since the last build.

    Args:
        catalogue: the catalogue that the new version is built from.
        index: the index folder.
    """
    version = readable_current(index)
    if version is None:
        return
    taken = read_taken(index / version)
    deleted = set(taken.deleted)
    back = [row.product_id for row in catalogue.rows if row.product_id in deleted]
    if back:
        yield Message(
            f"{catalogue.path}: products that were deleted from the index since the last build: "
            f"{len(back):,}, the first: {back[0]!r}. The new version has them again.",
            is_warning=True,
        )
    if taken.upserted and (other := _other_texts(catalogue, index / version, taken)):
        yield Message(
            f"{catalogue.path}: products with other texts than their upserts since the last build: "
            f"{len(other):,}, the first: {other[0]!r}. The new version has those of the catalogue.",
            is_warning=True,
        )


def _other_texts(catalogue: Catalogue, version: Path, taken: TakenChanges) -> list[str]:
    """The upserted products whose description or further columns the catalogue has otherwise."""
    try:
        bundle = IndexBundle(version)
    except IndexBundleError:
        return []  # nothing to compare with
    rows = bundle.rows_of(taken.upserted)
    other = []
    for row in catalogue.rows:
        if row.product_id in rows:
            product = bundle.product(rows[row.product_id])
            if (row.description, row.attributes) != (product.description, product.attributes):
                other.append(row.product_id)
    return other


def lost_images(catalogue: Catalogue, index: Path, max_loss: float) -> Iterator[Message]:
    """Warn if too many image files are missing that the current version does not lack.

    Args:
        catalogue: the catalogue that the new version is built from.
        index: the index folder.
        max_loss: the largest share of images that may be lost.
    """
    missing = _missing(catalogue, index)
    if missing is not None and missing.share > max_loss:
        yield Message(
            f"{catalogue.path}: {missing}. The new version will not be published, since --max-loss "
            f"is {max_loss:g}.",
            is_warning=True,
        )


def check_images(catalogue: Catalogue, shard: Shard, index: Path | None, max_loss: float) -> None:
    """Refuse to describe a shard if the images of the catalogue are not there.

    Those of the other shards are looked for only if too many of this shard are missing.

    Args:
        catalogue: all products.
        shard: which of them are described.
        index: the index that the new version will belong to; None for none.
        max_loss: the largest share of images that may be lost of its current version.

    Raises:
        CatalogueError: if no image is there.
        IndexLossError: if too many are missing that the current version does not lack.
    """
    part = shard.part(catalogue)
    if part.rows and not _has_an_image(part) and not _has_an_image(catalogue):
        image = catalogue.rows[0].image
        why = MissingImages(catalogue.path.parent).explanation(image)
        raise CatalogueError(
            f"None of the {len(catalogue.rows):,} image files of {catalogue.path} is there, the "
            f"first: {image}. {why or 'Mount or correct the folder of the images.'}"
        )
    if index is None or (lost := _missing(part, index)) is None or lost.share <= max_loss:
        return
    if (lost := _missing(catalogue, index)) is not None and lost.share > max_loss:
        raise IndexLossError(
            f"{catalogue.path}: {lost}. No image was described, since --max-loss is {max_loss:g}. "
            "Mount or correct the folder of the images; if the loss is intended, give a larger "
            "--max-loss."
        )


def _has_an_image(catalogue: Catalogue) -> bool:
    return any(os.path.exists(catalogue.image_path(row)) for row in catalogue.rows)  # noqa: PTH110


def _missing(catalogue: Catalogue, index: Path) -> LostShare | None:
    """The image files that are missing; None if there is no version to compare with."""
    version = readable_current(index)
    if version is None:
        return None
    missing = {
        row.product_id: row.image
        for row in catalogue.rows
        if not os.path.exists(catalogue.image_path(row))  # noqa: PTH110 - half a million times
    }
    try:
        return missing_images(index / version, missing, len(catalogue.rows))
    except IndexBundleError:
        return None
