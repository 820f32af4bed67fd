"""What compactions have taken into a version since the last build: the ids of its products.

The file of the catalogue does not have these changes. It lies beside the log of the version, as the
version itself is that of a build from nothing. A build removes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from export.dataset.catalogue import Catalogue
from retrieval_server.changes.changed_index import ChangedIndex
from retrieval_server.errors import IndexLossError, RetrievalError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.index.loss import ANY_LOSS
from retrieval_server.storage.files import SYSTEM_FILES
from retrieval_server.storage.json_record import check_types, read_json

TAKEN_FILE = "taken.json"


@dataclass(frozen=True)
class TakenChanges:
    """The products that changes have brought or removed.

    Attributes:
        upserted: ids of those that are in the version.
        deleted: ids of those that were, and are not.
    """

    upserted: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def with_those_of(self, version: IndexBundle, index: ChangedIndex) -> TakenChanges:
        """These and the changes to the version that has them.

        Args:
            version: the version.
            index: the version with its changes.
        """
        gone = np.setdiff1d(np.arange(len(version)), index.live_rows)
        changed = {*self.upserted, *self.deleted, *index.upserted_ids}
        changed.update(version.product_id(int(row)) for row in gone)
        there = index.rows_of(changed)
        return TakenChanges(
            tuple(sorted(changed & there.keys())), tuple(sorted(changed - there.keys()))
        )


def read_taken(version: Path) -> TakenChanges:
    """The changes that a version has taken since the last build.

    Args:
        version: folder of the version.

    Raises:
        RetrievalError: if their file is damaged.
    """
    path = _path(version)
    try:
        fields = read_json(path)
        taken = TakenChanges(tuple(fields["upserted"]), tuple(fields["deleted"]))
        check_types(taken)
    except (FileNotFoundError, NotADirectoryError):
        return TakenChanges()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RetrievalError(
            f"Cannot read {path} ({error}). It has the ids of the products that were upserted or "
            "deleted since the last build. Remove it to build without regard to them."
        ) from error
    return taken


def write_taken(version: Path, taken: TakenChanges) -> None:
    """Record the changes that a version has taken since the last build; overwrites.

    Args:
        version: folder of the version.
        taken: the changes; without any, the file is removed.

    Raises:
        OSError: if the file cannot be written.
    """
    path = _path(version)
    if taken == TakenChanges():
        SYSTEM_FILES.remove(path)
        return
    for folder in (path.parent.parent, path.parent):
        SYSTEM_FILES.make_folder(folder)
    content = json.dumps(asdict(taken), ensure_ascii=False).encode()
    SYSTEM_FILES.replace(path, path.with_suffix(".new"), [content])


def check_upserts(catalogue: Catalogue, version: Path, max_loss: float) -> None:
    """Refuse to build from a catalogue without the products that upserts have brought.

    Args:
        catalogue: the catalogue.
        version: folder of the version that is current.
        max_loss: the largest share that may be lost; any loss allows these as well.

    Raises:
        IndexLossError: if the catalogue lacks such products, naming the first.
        RetrievalError: if the record of them is damaged.
    """
    if max_loss >= ANY_LOSS:
        return
    upserted = read_taken(version).upserted
    listed = {row.product_id for row in catalogue.rows}
    lacking = [product_id for product_id in upserted if product_id not in listed]
    if lacking:
        raise IndexLossError(
            f"{catalogue.path} lacks {len(lacking):,} of the {len(upserted):,} products that were "
            f"upserted since the last build, the first: {lacking[0]!r}. Nothing was built. Add "
            f"them to the catalogue, or build without them: --max-loss {ANY_LOSS:g}"
        )


def _path(version: Path) -> Path:
    return changes_folder(version) / TAKEN_FILE
