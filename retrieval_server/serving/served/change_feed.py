"""Keeps the served index at the newest change of its log, and writes the log where it may."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from retrieval_server.changes.changeable_version import ChangeableVersion
from retrieval_server.changes.changed_index import ChangedIndex
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.hand_over import (
    NEW_VERSION,
    CompactedVersion,
    Switch,
    offered,
    require_current,
    staying_current,
    withdraw,
)
from retrieval_server.changes.log_writer import LogWriter, WriterLock
from retrieval_server.errors import ChangeLogError, ChangeWriteError, NotWriterError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.serving.served.polling import Polling
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.stores.changed_store import changed_store
from retrieval_server.stores.store_log_writer import StoreLogWriter
from retrieval_server.stores.stored_index import StoredIndex

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 0.2
FEW_CHANGES = 200  # are copied while other changes wait
NOT_WRITABLE = (
    "this server takes no changes. Send them to the one server of this index that runs with "
    "--writable (RETRIEVAL_WRITABLE)."
)


@dataclass(frozen=True)
class Committed:
    """Changes that are durable, and found by searches.

    Attributes:
        version: the version of the index that was changed.
        position: of the last one in the log.
    """

    version: str
    position: int


class ChangeFeed:
    """Follows the log of the version that is served, and is its writer if it may.

    Args:
        served: holds the index that is served; gets it anew with each change.
        is_writable: whether this server takes changes.
        root: the index folder whose ``current`` is served; None for one version or a store.

    Attributes:
        is_writable: as given.
        polling: reads what others write.
    """

    def __init__(self, served: ServedIndex, *, is_writable: bool, root: Path | None = None) -> None:
        self.is_writable = is_writable
        self._root = root
        self.polling = Polling(self.poll, "the check for changes")
        self._served = served
        self._base: Retriever | None = None
        self._version: ChangedVersion | None = None
        self._compacted: set[str] = set()  # versions that were made into the one that is served
        self._lock = asyncio.Lock()  # of the version that is served, and of its log
        self._right: WriterLock | None = None
        self._writer: LogWriter | StoreLogWriter | None = None

    @property
    def version(self) -> ChangeableVersion:
        """The version that is served, without its changes."""
        assert self._version is not None, "a version is served"
        return self._version.version

    @property
    def is_writer(self) -> bool:
        """Whether this server has the right to write the log, and no other one has."""
        return self._right is not None

    @property
    def lag_s(self) -> float:
        """For how long the log has had changes that searches do not see."""
        return 0.0 if self._version is None else self._version.lag_s

    @property
    def pending(self) -> int:
        """The number of changes to the version that searches see."""
        return 0 if self._version is None else self._version.pending

    async def serve(self, retriever: Retriever, compacted: CompactedVersion | None = None) -> None:
        """Serve a version with the changes in its log, in place of what was served.

        Args:
            retriever: searches the version.
            compacted: the version, if it has to become current first; changes wait meanwhile.

        Raises:
            ChangeLogError: if the log cannot be used; what was served stays.
        """
        if compacted is not None:
            await self._switch(retriever, compacted)
            return
        async with self._lock:
            version, index = await asyncio.to_thread(_opened, retriever)
            self._compacted.clear()
            self._begin(retriever, version, index)

    async def offered(self) -> CompactedVersion | None:
        """The version that this server has to make current, because it is the writer.

        Raises:
            ChangeLogError: if the file that names it is damaged.
        """
        if not self.is_writer or self._root is None:  # a store hands over no versions
            return None
        compacted = await asyncio.to_thread(offered, self._root)
        is_of_served = compacted is not None and compacted.base == self.version.version
        return compacted if is_of_served else None

    async def poll(self) -> None:
        """Read what is new in the log.

        Raises:
            ChangeLogError: if it cannot be used; what was read before is still served.
            OSError: if a file cannot be read.
        """
        async with self._lock:
            if self._version is not None:
                self._show(await asyncio.to_thread(self._version.catch_up))

    async def commit(self, version: str, contents: Sequence[bytes]) -> Committed:
        """Make changes durable, and let searches find them.

        Args:
            version: the version of the index that they were made for.
            contents: the changes as the log has them.

        Raises:
            NotWriterError: if this server does not write the log.
            ChangeLogError: if the log cannot be written; no change is in it.
        """
        async with self._lock:
            if version not in {self.version.version, *self._compacted}:
                raise ChangeWriteError(NEW_VERSION)
            position = await asyncio.to_thread(self._append, contents)
            assert self._version is not None, "there is a log"
            self._show(await asyncio.to_thread(self._version.catch_up))
            return Committed(version, position)

    def require_writable(self) -> None:
        """Refuse changes where they are not taken.

        Raises:
            NotWriterError: naming the setting.
        """
        if not self.is_writable:
            raise NotWriterError(NOT_WRITABLE)

    async def take_over(self) -> None:
        """Become the writer of the log, if this server may and no other one is; else say so."""
        if not self.is_writable:
            return
        async with self._lock:
            try:
                await asyncio.to_thread(self._open_writer)
            except ChangeLogError as error:
                log.warning("%s", error)

    def close(self) -> None:
        """Let another server write the log."""
        self._close_writer()
        if self._right is not None:
            self._right.close()
            self._right = None

    def _show(self, index: ChangedIndex | None) -> None:
        if index is not None:
            assert self._base is not None, "a version is served"
            self._served.retriever = self._base.over(index)

    def _append(self, contents: Sequence[bytes]) -> int:
        writer = self._open_writer()
        if self._root is None:
            return writer.append(contents)
        with staying_current(self._root, self.version.version):
            return writer.append(contents)

    def _open_writer(self) -> LogWriter | StoreLogWriter:
        self.require_writable()
        if self._writer is None:
            self._writer = self._opened_writer()
        return self._writer

    def _opened_writer(self) -> LogWriter | StoreLogWriter:
        version = self.version
        if isinstance(version, StoredIndex):
            return version.open_log_writer()
        folder = changes_folder(cast("IndexBundle", version).folder)
        if self._right is None:
            self._right = WriterLock(folder.parent)
        if self._root is not None:
            require_current(self._root, version.version)
        return LogWriter(folder, version.version)

    def _begin(
        self, retriever: Retriever, version: ChangedVersion, index: ChangedIndex | None
    ) -> None:
        """Serve a version, and write to its log from the next change on."""
        self._close_writer()
        self._base, self._version = retriever, version
        self._served.retriever = retriever if index is None else retriever.over(index)

    async def _switch(self, retriever: Retriever, compacted: CompactedVersion) -> None:
        """Make a version current, and serve it.

        Most changes that have arrived are copied and read while others arrive. The last ones are
        copied while others wait.
        """
        assert self._root is not None, "it was offered there"
        version = ChangedVersion.in_files(
            cast("IndexBundle", retriever.bundle), retriever.index_search
        )
        index = None
        with contextlib.closing(Switch(self._root, compacted)) as switch:
            if compacted.version != compacted.base:
                before, copied = math.inf, math.inf
                # A further copy is worth while only as long as fewer changes arrive during each.
                while copied > FEW_CHANGES and copied <= before / 2:
                    before, copied = copied, await asyncio.to_thread(switch.copy)
                    index = await asyncio.to_thread(version.catch_up) or index
            async with self._lock:
                self._close_writer()  # the next change opens the log of what is current then
                await asyncio.to_thread(switch.copy)
                index = await asyncio.to_thread(version.catch_up) or index
                await asyncio.to_thread(switch.finish)
                with contextlib.suppress(OSError):  # its version is not served any more
                    await asyncio.to_thread(withdraw, self._root)
                self._compacted.add(compacted.base)
                self._begin(retriever, version, index)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _opened(retriever: Retriever) -> tuple[ChangedVersion, ChangedIndex | None]:
    """What follows the log of a version, and its index now; None without changes."""
    bundle, search = retriever.bundle, retriever.index_search
    if isinstance(bundle, StoredIndex):
        version = changed_store(bundle, search)
    else:
        version = ChangedVersion.in_files(cast("IndexBundle", bundle), search)
    return version, version.catch_up()
