"""Compaction: a version and its changes become the next version.

The new version is that of a build from nothing on the resulting catalogue, byte for byte: rows that
were not changed in their order, and behind them the changed ones in the order of their changes. The
fit of the search and the frequencies of words are computed anew.

A server may write changes meanwhile. The compaction takes up those that it finds in the log when it
begins; the others go into the log of the new version when it becomes current, see
``changes.hand_over``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import CatalogueRow
from export.index.carried_calibration import CarriedCalibration, carry_calibration
from export.index.hand_over import hand_over
from export.index.products import read_rejects, write_products
from export.index.search_levels import build_search_levels
from export.index.stage_log import StageLog
from export.index.taken_changes import read_taken, write_taken
from export.index.words import write_words
from export.output.folder import output_folder
from export.progress import progress
from export.text_index.build import build_text_index
from export.text_index.settings import TextSettings
from retrieval_server.changes.changed_index import ChangedIndex
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.hand_over import CompactedVersion
from retrieval_server.errors import RetrievalError
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import has_changes
from retrieval_server.index.descriptors import create_descriptors
from retrieval_server.index.images import IMAGE_DIGEST_BYTES, IMAGE_DIGESTS_FILE
from retrieval_server.index.manifest import Manifest
from retrieval_server.index.publish import open_index, seal, store
from retrieval_server.index.reference_image import write_reference
from retrieval_server.index.retention import Retention, remove_old_versions
from retrieval_server.index.searched_index import IndexSearch

COPIED_AT_ONCE = 4096  # rows
NOTHING_REMOVED = Retention()


@dataclass(frozen=True)
class CompactedIndex:
    """Outcome of a compaction.

    Attributes:
        folder: of the version that is current now.
        changes: how many changes it has taken up; 0 if there was nothing to do.
        products: number of its products.
        retention: which old versions were removed.
        calibration: what has become of the calibration of the version before; None if it had none.
    """

    folder: Path
    changes: int
    products: int
    retention: Retention = NOTHING_REMOVED
    calibration: CarriedCalibration | None = None


def compact(root: Path, keep_versions: int | None = None) -> CompactedIndex:
    """Make the next version of the current one and its changes, and make it current.

    Args:
        root: the index folder.
        keep_versions: how many versions stay in the index folder; None for all. The version that
            was current stays until the next compaction or build.

    Raises:
        ChangeLogError: if the log cannot be read, or the server that writes it does not make the
            new version current.
        RetrievalError: if the disk is full, or another command writes in the folder.
    """
    with output_folder(root, "Wait for it."):
        version = open_index(root)
        changed = ChangedVersion.in_files(version, _no_search(version))
        index = changed.catch_up() if has_changes(version.folder) else None
        if index is None:
            done = CompactedIndex(version.folder, 0, len(version))
        elif not len(index):
            raise RetrievalError(f"The changes to {version.folder} have removed every product.")
        else:
            done = _compacted(root, version, changed, index)
        if keep_versions is None:
            return done
        retention = remove_old_versions(root, keep_versions, [version.version])
        return replace(done, retention=retention)


def _no_search(version: IndexBundle) -> IndexSearch:
    """What would rank the rows of a version; nothing is searched here."""
    return cast("IndexSearch", ScanSearch(version.descriptors))


def _compacted(
    root: Path, version: IndexBundle, changed: ChangedVersion, index: ChangedIndex
) -> CompactedIndex:
    place = changed.place
    assert place is not None, "there are changes"
    scratch = root / ".compacting"
    shutil.rmtree(scratch, ignore_errors=True)
    folder = scratch / "bundle"
    folder.mkdir(parents=True)
    manifest = _write_bundle(folder, version, index, StageLog(scratch / "stages.jsonl", "compact"))
    calibration = carry_calibration(root, folder, manifest)
    stored = store(folder, root, seal(folder, manifest))
    shutil.rmtree(scratch)
    write_taken(stored, read_taken(version.folder).with_those_of(version, index))
    hand_over(root, CompactedVersion(stored.name, version.version, place))
    return CompactedIndex(stored, changed.pending, len(index), calibration=calibration)


def _write_bundle(
    folder: Path, version: IndexBundle, index: ChangedIndex, log: StageLog
) -> Manifest:
    """Write every file but the manifest, in the way of a build."""
    old = version.manifest
    rows = index.live_rows
    zeros = _write_descriptors(folder, version, index, rows)
    search = build_search_levels(folder, version.profile.alphas)
    for model, descriptor in version.reference_descriptors.items():
        write_reference(folder, {model: descriptor[None]})
    products = [
        CatalogueRow(each.product_id, each.image, each.description, each.attributes)
        for each in map(index.product, rows.tolist())
    ]
    words = write_words(
        folder,
        products,
        old.words.columns,
        log,
        reader=old.words.reader,
        read=lambda: [index.read_entry(row) for row in rows.tolist()],
    )
    upserted = index.upserted_ids
    rejects = [each for each in read_rejects(version.folder) if each.product_id not in upserted]
    columns = write_products(folder, products, version.columns.names, rejects)
    text = TextSettings(**{name: old.text[name] for name in TextSettings().to_json()})
    descriptions = [product.description for product in products]
    with progress("descriptions", len(descriptions)) as advance:
        report = build_text_index(descriptions, text, folder, advance)
    return replace(
        old,
        models={
            model: replace(indexed, zero_descriptors=zeros[model])
            for model, indexed in old.models.items()
        },
        products=len(products),
        rejected=len(rejects),
        documents=report.documents,
        text_pairs=report.sizes.neighbours,
        text=text.to_json() | report.to_json(),
        words=words,
        columns=columns,
        search=search,
    )


def _write_descriptors(
    folder: Path, version: IndexBundle, index: ChangedIndex, rows: NDArray[np.int64]
) -> dict[str, int]:
    """Write the descriptors and the digests of the images; the number of zeros by model."""
    kept = rows[rows < len(version)]
    changed = rows[len(kept) :] - len(version)
    zeros = {}
    sources = zip(
        version.profile.models, version.descriptors, index.changed_descriptors, strict=True
    )
    for model, old, new in sources:
        array = create_descriptors(folder, model, len(rows), old.shape[1], old.dtype.str)
        _copy(old, kept, array)
        array[len(kept) :] = new[changed]
        zeros[model] = sum(
            int((~array[first : first + COPIED_AT_ONCE].any(axis=1)).sum())
            for first in range(0, len(array), COPIED_AT_ONCE)
        )
    digests = np.empty((len(rows), IMAGE_DIGEST_BYTES), np.uint8)
    digests[: len(kept)] = version.image_digests[kept]
    for place, slot in enumerate(changed.tolist(), len(kept)):
        digests[place] = np.frombuffer(index.image_digest(slot), np.uint8)
    np.save(folder / IMAGE_DIGESTS_FILE, digests)
    return zeros


def _copy(source: NDArray[Any], rows: NDArray[np.int64], target: NDArray[Any]) -> None:
    for first in range(0, len(rows), COPIED_AT_ONCE):
        piece = rows[first : first + COPIED_AT_ONCE]
        target[first : first + len(piece)] = source[piece]
