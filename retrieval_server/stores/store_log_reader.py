"""Follows the log of changes of a version in a store; see ``store_log``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retrieval_server.changes.log_reader import LogRewrittenError
from retrieval_server.changes.segment import BEGINS, Link, follows
from retrieval_server.errors import StoreError
from retrieval_server.stores.layout import RELOAD
from retrieval_server.stores.store_log import StoredFrame, StoreLog

BEGINNING = Link(offset=0, position=0, checksum=BEGINS, checksum_offset=0)


@dataclass(frozen=True)
class Tail:
    """The end of the log, as far as it was read.

    Attributes:
        end: where the next frame goes.
        last: the last frame; None before the first.
    """

    end: Link = BEGINNING
    last: StoredFrame | None = None

    @property
    def begin(self) -> tuple[int, str]:
        """The first position and the ballot of the last frame, behind which further ones are."""
        return (1, "") if self.last is None else (self.last.first, self.last.ballot)

    def behind(self, frame: StoredFrame) -> Tail:
        """The end behind a further frame."""
        return Tail(frame.frame.end, frame)


class StoreLogReader:
    """Reads the log from its beginning, as far as it is written. One thread at a time.

    Args:
        log: the log.
        tail: where to begin in place of the beginning, as a reader before has had it.

    Attributes:
        start: 0, the position before the log.
        place: None, since the log has no files.
        tail: how far the log was read.
    """

    start: int | None = 0
    place = None

    def __init__(self, log: StoreLog, tail: Tail | None = None) -> None:
        self._log, self.tail = log, tail or Tail()

    @property
    def position(self) -> int:
        """The position of the last change that was read."""
        return self.tail.end.position

    def read(self) -> list[bytes]:
        """Read the changes that were not read yet, in their order.

        Raises:
            LogRewrittenError: if the last frame that was read was never told to be durable, and
                another one has taken its place.
            StoreError: if a frame is missing or damaged.
            StoreUnavailableError: if Milvus fails; what was read before stays.
        """
        tail, changes = self.tail, list[bytes]()
        while True:
            frames, furthest = self._log.frames(*tail.begin, tail.end.position)
            tail = self._confirmed(tail, frames.get(tail.begin[0], ()))
            before = tail
            while (frame := _next(tail, frames)) is not None:
                changes += frame.frame.changes
                tail = tail.behind(frame)
            if tail is before:
                break
        if furthest > tail.end.position + 1:
            raise StoreError(
                f"{self._log.place} is damaged: nothing whole follows change "
                f"{tail.end.position:,}, and there are later ones. {RELOAD}"
            )
        self.tail = tail
        return changes

    def _confirmed(self, tail: Tail, others: Sequence[StoredFrame]) -> Tail:
        """The tail under its highest ballot.

        Args:
            tail: how far the log was read.
            others: the frames with a higher ballot in the place of its last one.

        Raises:
            LogRewrittenError: if there is another frame in its place.
        """
        if tail.last is None or not others:
            return tail
        if others[0].content != tail.last.content:
            raise LogRewrittenError
        return Tail(tail.end, others[0])


def _next(tail: Tail, frames: Mapping[int, Sequence[StoredFrame]]) -> StoredFrame | None:
    """The frame that follows a tail: of those in its place the one with the highest ballot."""
    there = frames.get(tail.end.position + 1, ())
    return next((frame for frame in there if follows(frame.content, 0, tail.end)), None)
