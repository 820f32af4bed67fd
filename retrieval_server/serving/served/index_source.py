"""Where the server's index comes from: a folder with versions, or a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval_server.errors import CurrentFileError, ModelMismatchError, RetrievalError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.loss import loss_between
from retrieval_server.index.publish import (
    CURRENT_FILE,
    approved_version,
    current_version,
    is_version,
    open_index,
    version_folder,
)
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.serving.settings import Settings
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.milvus import Milvus
from retrieval_server.stores.published_version import published
from retrieval_server.stores.store_access import StoreAccess
from retrieval_server.stores.stored_index import StoredIndex

NAME_ONE = "Name the index to serve: either --index or --store."


@dataclass(frozen=True)
class Named:
    """What an index's source says is to be served.

    Attributes:
        version: the version to serve.
        is_approved: whether the loss of this version has been judged when it was published.
    """

    version: str
    is_approved: bool


class IndexSource(Protocol):
    """Says which version is to be served, and opens it."""

    def open(self) -> SearchedIndex:
        """Open the version that the server starts with.

        Raises:
            RetrievalError: if there is none, or it cannot be used.
        """

    def root(self) -> Path | None:
        """The index folder whose file ``current`` is followed; None if there is none."""

    def named(self) -> Named | None:
        """What is to be served now; None for a source that never gets another version.

        Raises:
            CurrentFileError: if there is no file ``current``, or it cannot be read.
            StoreError: if the store holds no index, or cannot be read.
        """

    def open_checked(self, named: Named, old: SearchedIndex) -> SearchedIndex:
        """Open a version that is to replace another one, and check it first.

        Args:
            named: the version.
            old: the one that is served.

        Raises:
            RetrievalError: if it fails a check.
            OSError: if a file cannot be read.
        """

    def close(self) -> None:
        """Close what connects to the source, when its indexes are used no more."""


class FolderSource:
    """An index folder, whose file ``current`` names a version; or the folder of a version.

    Args:
        path: the folder.
        max_loss: the largest share of the served version that a new one may have lost, unless the
            new one is approved.
    """

    def __init__(self, path: Path, max_loss: float) -> None:
        self._path, self._max_loss = path, max_loss

    def open(self) -> IndexBundle:  # noqa: D102 - see IndexSource
        return open_index(self._path)

    def root(self) -> Path | None:  # noqa: D102 - see IndexSource
        return None if is_version(self._path) else self._path

    def named(self) -> Named | None:  # noqa: D102 - see IndexSource
        version = current_version(self._path)
        if version is not None:
            return Named(version, approved_version(self._path) == version)
        if is_version(self._path):
            return None
        raise CurrentFileError(f"There is no file {self._path / CURRENT_FILE}.")

    def open_checked(  # noqa: D102 - see IndexSource
        self, named: Named, old: SearchedIndex
    ) -> IndexBundle:
        bundle = IndexBundle(version_folder(self._path, named.version))
        _require_profile(bundle, old)
        bundle.verify()
        if not named.is_approved:
            loss = loss_between(version_folder(self._path, old.version), bundle.folder)
            if loss is not None:
                loss.check(self._max_loss)
        return bundle

    def close(self) -> None:
        """A folder has no connection; see ``IndexSource``."""


class StoreSource:
    """A store, whose alias names a version. ``beauty-export load`` has verified and judged it.

    Args:
        address: where it is.
        search_s: seconds after which a search does not ask for a longer list of candidates.
        timeout_s: seconds that a call to the store may take.
        access: what the store asks for.
    """

    def __init__(
        self, address: StoreAddress, search_s: float, timeout_s: float, access: StoreAccess
    ) -> None:
        self._milvus, self._search_s = Milvus(address, timeout_s, access=access), search_s

    def open(self) -> StoredIndex:  # noqa: D102 - see IndexSource
        return StoredIndex.published(self._milvus, self._search_s)

    def root(self) -> None:
        """A store has no folder; see ``IndexSource``."""

    def named(self) -> Named:  # noqa: D102 - see IndexSource
        _, record = published(self._milvus)
        return Named(record.version, is_approved=True)

    def open_checked(  # noqa: D102 - see IndexSource
        self, named: Named, old: SearchedIndex
    ) -> StoredIndex:
        index = self.open()
        _require_profile(index, old)
        return index

    def close(self) -> None:
        """Close the connection to the store; see ``IndexSource``."""
        self._milvus.close()


def source_of(settings: Settings) -> IndexSource:
    """The source that the settings name.

    Args:
        settings: the server's.

    Raises:
        RetrievalError: if they name none or both, or the store cannot be reached.
    """
    if (settings.index is None) == (settings.store is None):
        raise RetrievalError(NAME_ONE)
    if settings.index is not None:
        return FolderSource(settings.index, settings.max_loss)
    assert settings.store is not None, "one of them is named"
    address = StoreAddress.of(settings.store)
    return StoreSource(
        address, settings.store_search_s, settings.store_timeout_s, settings.store_access
    )


def _require_profile(index: SearchedIndex, old: SearchedIndex) -> None:
    if index.profile.name != old.profile.name:
        raise ModelMismatchError(
            f"it is of profile {index.profile.name}, the server of {old.profile.name}. "
            "Start the server again."
        )
