"""Reads the log of changes of a version, and follows it while another process writes.

A reader takes no lock. A frame that is not whole yet is read when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrieval_server.changes.segment import (
    BEGINS,
    HEADER_BYTES,
    RESTORE,
    Link,
    Place,
    continuing,
    follows,
    frame_at,
    has_frame_behind,
    read_header,
    segment_name,
    segment_names,
)
from retrieval_server.errors import ChangeLogError


class LogRewrittenError(Exception):
    """What was read before is not in the log any more: a writer has lost it with its machine."""


class LogReader:
    """Reads a log from its beginning, as far as it is written.

    Args:
        folder: of the log; it need not exist yet.
        version: name of the index version.
        behind: where to begin in place of the beginning, as a reader before has had it.

    Attributes:
        start: the position of the last change before the log; None before the first segment.
        segment: the name of the segment that is being read; None before the first one.
        end: where the next frame goes in that segment.
        unread: number of bytes behind ``end``, of a frame that is not whole.
    """

    def __init__(self, folder: Path, version: str, behind: Place | None = None) -> None:
        self._folder, self._version = folder, version
        self.start: int | None = None
        self.segment = None if behind is None else behind.segment
        self.end = Link(0, 0, 0, 0) if behind is None else behind.end
        self.unread = 0

    @property
    def place(self) -> Place | None:
        """How far the log was read; None before the first segment."""
        return None if self.segment is None else Place(self.segment, self.end)

    @property
    def position(self) -> int:
        """The position of the last change that was read."""
        return self.end.position

    def read(self) -> list[bytes]:
        """Read the changes that were not read yet, in their order.

        Raises:
            ChangeLogError: if the log is damaged, of another version, or of a newer format.
            LogRewrittenError: if it does not continue what was read before.
            OSError: if a file cannot be read.
        """
        is_first = self.segment is None
        try:
            return self._read()
        except LogRewrittenError:
            if not is_first:
                raise
            raise ChangeLogError(
                f"The change log {self._folder} is damaged behind change {self.position:,}: what "
                f"follows was not written after it. {RESTORE}"
            ) from None

    def _read(self) -> list[bytes]:
        changes: list[bytes] = []
        while True:
            names = segment_names(self._folder)
            if self.segment is None:
                if not names:
                    return changes
                self._begin(names)
            elif self.segment not in names:
                raise LogRewrittenError
            is_last = names[-1] == self.segment
            changes += self._read_segment(is_last=is_last)
            if is_last:
                return changes
            self._enter(names[names.index(str(self.segment)) + 1])

    def _begin(self, names: Sequence[str]) -> None:
        """Begin with the segment with which the log begins."""
        for name in reversed(names):
            link, previous = self._header(name)
            if previous == BEGINS:
                self.start, self.segment, self.end = link.position, name, link
                return
        raise ChangeLogError(
            f"The change log {self._folder} has no beginning: the segment {names[0]} continues one "
            f"before it. {RESTORE}"
        )

    def _enter(self, name: str) -> None:
        """Go on with the next segment."""
        link, previous = self._header(name)
        if previous != continuing(self.end.checksum) or link.position != self.end.position:
            raise LogRewrittenError
        self.segment, self.end = name, link

    def _header(self, name: str) -> tuple[Link, int]:
        path = self._folder / name
        with path.open("rb") as file:
            link, previous = read_header(file.read(HEADER_BYTES), path, self._version)
        if name != segment_name(link.position + 1):
            raise ChangeLogError(
                f"The segment {path} begins with change {link.position + 1:,}. Its name must say "
                "so: give it back its own name."
            )
        return link, previous

    def _read_segment(self, *, is_last: bool) -> list[bytes]:
        path, start = self._folder / str(self.segment), self.end.offset
        with path.open("rb") as file:
            if not self.end.is_in(file):
                raise LogRewrittenError
            file.seek(start)
            content = file.read()
        changes: list[bytes] = []
        offset = 0
        while (frame := frame_at(content, offset)) is not None:
            if not follows(content, offset, self.end):
                raise LogRewrittenError
            changes += frame.changes
            offset = frame.end.offset
            self.end = frame.end.moved(start)
        self.unread = len(content) - offset
        if self.unread and (not is_last or has_frame_behind(content, offset)):
            raise ChangeLogError(
                f"The change log {path} is damaged at byte {start + offset:,}, behind change "
                f"{self.position:,}. {RESTORE}"
            )
        return changes
