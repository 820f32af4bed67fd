"""Writes the log of changes of a version in a store; see ``store_log`` for how writers agree."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval_server.changes.hand_over import NEW_VERSION
from retrieval_server.changes.log_reader import LogRewrittenError
from retrieval_server.changes.segment import frame_bytes
from retrieval_server.errors import ChangeWriteError, StoreUnavailableError
from retrieval_server.stores.milvus import Milvus
from retrieval_server.stores.store_log import StoredFrame, StoreLog
from retrieval_server.stores.store_log_reader import StoreLogReader, Tail


class StoreLogWriter:
    """Appends to the log of a version. One thread at a time.

    Any server may write. The one that writes next claims the log, and the one before notices it
    with its next change, which it refuses; the change after that claims the log again.

    Args:
        log: the log.
        milvus: the connection.
        documents: the collection with the version's documents.
    """

    def __init__(self, log: StoreLog, milvus: Milvus, documents: str) -> None:
        self._log, self._milvus, self._documents = log, milvus, documents
        self._tail = Tail()
        self._ballot: str | None = None

    def append(self, changes: Sequence[bytes]) -> int:
        """Write a group of changes, and wait until Milvus has them.

        Args:
            changes: the content of each, at least one.

        Returns:
            The position of the last one.

        Raises:
            ChangeWriteError: if it is not known to be durable; the log may have it nevertheless.
        """
        try:
            ballot = self._ballot or self._taken_over()
            self._ballot = None  # until it is known what the log has
            first = self._tail.end.position + 1
            content, _ = frame_bytes(changes, self._tail.end)
            self._log.write(first, ballot, content)
            self._require_ballot(ballot)
        except StoreUnavailableError as error:
            raise ChangeWriteError(f"{error} {UNKNOWN}") from error
        self._ballot = ballot
        self._tail = self._tail.behind(StoredFrame.of(first, ballot, content))
        return self._tail.end.position

    def close(self) -> None:
        """Let another server write the log, which needs nothing; see ``LogWriter``."""

    def _taken_over(self) -> str:
        """Claim the log, and read it to its end; returns the ballot.

        Raises:
            ChangeWriteError: if another server claims it as well, or the version is not served any
                more.
            StoreUnavailableError: if Milvus fails.
        """
        ballot = self._log.claim()
        if self._milvus.aliased(self._milvus.address.collection) != self._documents:
            raise ChangeWriteError(NEW_VERSION)
        reader = StoreLogReader(self._log, self._tail)
        try:
            reader.read()
        except LogRewrittenError:
            reader = StoreLogReader(self._log)
            reader.read()
        self._tail = reader.tail
        if (last := self._tail.last) is not None:
            self._log.write(last.first, ballot, last.content)
        self._require_ballot(ballot)
        return ballot

    def _require_ballot(self, ballot: str) -> None:
        claims = self._log.claims()
        highest = max(claims, default="")
        if highest != ballot:
            holder = claims.get(highest, "unknown")
            raise ChangeWriteError(
                f"another server ({holder}) writes the changes of this index now. {UNKNOWN}"
            )


UNKNOWN = "The change may have been taken or not. Send it again."
