"""Descriptors of an earlier index that the next build reuses instead of computing them again.

SHA-256 of the image file identifies an image. A renamed file, another row of the catalogue or
another description makes no difference; a file with new content under an old name is a new image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.descriptors.merge_blocks import FLOAT32
from retrieval_server.engines.engine import precisions_agree
from retrieval_server.errors import ModelMismatchError
from retrieval_server.index.images import IndexedImages
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.publish import current_version, open_images
from retrieval_server.index.reference_image import check_reference
from retrieval_server.models.profile import Profile


class ReusableDescriptors:
    """The descriptors of an index, by the digests of its images.

    Args:
        images: those of the index.
    """

    def __init__(self, images: IndexedImages) -> None:
        self._images = images  # open, so that no build removes the version
        self._descriptors = dict(zip(images.profile.models, images.descriptors, strict=True))
        self._rows = {digest.tobytes(): row for row, digest in enumerate(images.image_digests)}

    def find(self, digest: bytes) -> dict[str, NDArray[np.float32]] | None:
        """The descriptors (C,) of an image by model name; None if the index does not have them.

        Args:
            digest: SHA-256 of the image file.
        """
        row = self._rows.get(digest)
        if row is None:
            return None
        return {m: rows[row].astype(np.float32) for m, rows in self._descriptors.items()}


def open_reusable(
    index: Path,
    profile: Profile,
    models: Mapping[str, str],
    reference: Mapping[str, NDArray[np.float32]],
    precision: str | None,
    dtype: str = FLOAT32,
) -> ReusableDescriptors | None:
    """Open the descriptors of an index if they are those that the engine would compute.

    Reads all of them once, to compare them with their checksums.

    Args:
        index: a version's folder, or the folder whose ``current`` names the version.
        profile: the backbones.
        models: SHA-256 of each model's ONNX file, by name.
        reference: (1, C) by model name, the engine's descriptors of the reference image.
        precision: what the engine computes in; None for a Triton.
        dtype: type of the descriptors that are wanted.

    Returns:
        The descriptors; None if there is no index yet.

    Raises:
        IndexBundleError: if the index is damaged or too old.
        ModelMismatchError: if its descriptors are not those that the engine would compute.
    """
    if current_version(index) is None and not (index / MANIFEST_FILE).is_file():
        return None
    images = open_images(index)
    indexed = {name: model.digest for name, model in images.manifest.models.items()}
    if indexed != dict(models) or images.profile.side != profile.side:
        raise ModelMismatchError(f"Index {images.folder} was built with other models.")
    if not precisions_agree(images.manifest.precision, precision):
        raise ModelMismatchError(
            f"Index {images.folder} was described in {images.manifest.precision}, {precision} is "
            "wanted."
        )
    stored = {rows.dtype for rows in images.descriptors}
    if stored != {np.dtype(dtype)}:
        raise ModelMismatchError(
            f"Index {images.folder} holds descriptors of {' and '.join(map(str, stored))}, "
            f"{np.dtype(dtype)} is wanted."
        )
    check_reference(str(images.folder), images.reference_descriptors, reference)
    images.verify(images.image_files)
    return ReusableDescriptors(images)
