"""A version that follows its log: each step gives the index at a new position."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.changes.change import Change, Upsert, decoded
from retrieval_server.changes.changeable_version import ChangeableVersion
from retrieval_server.changes.changed_index import ChangedIndex, ChangedRows
from retrieval_server.changes.changed_search import ChangedLevels, ChangedSearch
from retrieval_server.changes.changed_texts import ChangedNeighbours, ChangedTexts
from retrieval_server.changes.changed_words import ChangedTextFields, ChangedWords
from retrieval_server.changes.growing_array import GrowingArray
from retrieval_server.changes.log_reader import LogReader, LogRewrittenError
from retrieval_server.changes.segment import Place
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.index.searched_index import IndexSearch
from retrieval_server.text.read_text import decode_read
from retrieval_server.text.word_search import DESCRIPTION, IMAGE

MakeIndex = Callable[
    [
        ChangeableVersion,
        ChangedSearch,
        int,
        ChangedRows,
        ChangedNeighbours,
        ChangedWords,
    ],
    ChangedIndex,
]


class FollowedLog(Protocol):
    """The log of a version, from its beginning; see ``log_reader``."""

    start: int | None

    @property
    def position(self) -> int:
        """The position of the last change that was read."""

    @property
    def place(self) -> Place | None:
        """How far the files of the log were read; None before the first, or without files."""

    def read(self) -> list[bytes]:
        """Read the changes that were not read yet, in their order.

        Raises:
            ChangeLogError: if the log cannot be used.
            StoreError: if it is in a store that cannot be read.
            LogRewrittenError: if it does not continue what was read before.
            OSError: if a file cannot be read.
        """


class ChangedVersion:
    """Follows the log of a version. One thread at a time.

    Args:
        version: the version.
        search: ranks its rows.
        open_log: opens the log of the version.
        make_index: makes the index of the version and its changes.

    Attributes:
        version: as given.
        position: of the last change that was read.
        pending: number of changes that were read.
        place: how far the log was read; None before its first segment.
    """

    def __init__(
        self,
        version: ChangeableVersion,
        search: IndexSearch,
        open_log: Callable[[], FollowedLog],
        make_index: MakeIndex = ChangedIndex,
    ) -> None:
        self.version, self._search = version, search
        self._open_log, self._make_index = open_log, make_index
        self._shapes = version.descriptor_shapes
        self._behind_since: float | None = None
        self._begin()

    @classmethod
    def in_files(cls, version: IndexBundle, search: IndexSearch) -> ChangedVersion:
        """A version in files, whose log is beside it; see ``ChangedVersion``."""
        folder = changes_folder(version.folder)
        return cls(version, search, lambda: LogReader(folder, version.version))

    @property
    def position(self) -> int:
        """The position of the last change that the newest index has."""
        return self._reader.position

    @property
    def pending(self) -> int:
        """The number of changes to the version that were read."""
        return self._reader.position - (self._reader.start or 0)

    @property
    def place(self) -> Place | None:
        """How far the log was read."""
        return self._reader.place

    @property
    def lag_s(self) -> float:
        """How long changes have been seen in the log that the newest index does not have."""
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    def catch_up(self) -> ChangedIndex | None:
        """Read what is new in the log.

        Returns:
            The index at the position of its last change; None if nothing is new.

        Raises:
            ChangeLogError: if the log cannot be used; what was read before stays.
            StoreError: if it is in a store that cannot be read.
            OSError: if a file cannot be read.
        """
        try:
            index = self._applied([decoded(each, self._shapes) for each in self._read()])
        except BaseException:
            self._behind_since = self._behind_since or time.monotonic()
            self._begin()  # the next call reads the log from its beginning
            raise
        self._behind_since = None
        self.version.change_position = self._reader.start or 0
        return index

    def _read(self) -> list[bytes]:
        try:
            return self._reader.read()
        except LogRewrittenError:
            self._begin()
            return self._reader.read()

    def _begin(self) -> None:
        self._reader = self._open_log()
        self._is_there = np.ones(len(self.version), np.bool_)
        self._slots: dict[str, list[int]] = {}
        self._upserts: list[Upsert] = []
        self._descriptors = [GrowingArray(dtype, (length,)) for dtype, length in self._shapes]
        dimensions = [length for _, length in self._shapes]
        self._levels = ChangedLevels(self.version.levels, dimensions)
        self._texts: ChangedTexts | None = None

    def _applied(self, changes: list[Change]) -> ChangedIndex | None:
        if not changes:
            return None
        if self._texts is None:
            self._texts = ChangedTexts(self.version)
            self._fields = ChangedTextFields(self.version.words)
        is_there = self._with_room(changes)
        for change in changes:
            self._remove(change, is_there)
            if isinstance(change, Upsert):
                self._add(change, self._texts)
        self._is_there = is_there
        rows = len(self.version)
        descriptors = tuple(array.read() for array in self._descriptors)
        return self._make_index(
            self.version,
            self._joined(descriptors),
            self.position,
            ChangedRows(self._upserts, descriptors, self._slots, is_there),
            ChangedNeighbours(self._texts, rows, is_there),
            ChangedWords(self._fields, rows, is_there),
        )

    def _joined(self, descriptors: Sequence[NDArray[Any]]) -> ChangedSearch:
        """What ranks the rows of the version and the changed ones."""
        return ChangedSearch(self._search, len(self.version), self._levels.search(descriptors))

    def _with_room(self, changes: Iterable[Change]) -> NDArray[np.bool_]:
        """A copy of the rows that are there, and the new ones behind them."""
        new = sum(isinstance(change, Upsert) for change in changes)
        return np.concatenate([self._is_there, np.ones(new, np.bool_)])

    def _remove(self, change: Change, is_there: NDArray[np.bool_]) -> None:
        """Mark the row that a change replaces or deletes."""
        row: int | None
        if slots := self._slots.get(change.product_id):
            row = len(self.version) + slots[-1]
        else:
            row = self.version.row_of(change.product_id)
        if row is not None:
            is_there[row] = False

    def _add(self, change: Upsert, texts: ChangedTexts) -> None:
        product = change.product
        for array, descriptor in zip(self._descriptors, change.descriptors, strict=True):
            array.append(descriptor[None])
        text = self.version.manifest.words.text_of(product.description, product.attributes)
        read = "\n".join(line.text for line in decode_read(change.read_entry))
        self._fields.append({DESCRIPTION: text, IMAGE: read})
        texts.append(product.description if change.has_text_neighbours else "")
        self._slots.setdefault(product.product_id, []).append(len(self._upserts))
        self._upserts.append(change)
