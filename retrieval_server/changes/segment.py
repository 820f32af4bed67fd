"""The format of the log of changes: segment files of frames, each with one group of changes.

The log of a version is in ``changes/<version>/`` beside the versions of the index. A *segment* is a
file named after the position of its first change, such as ``00000000000000000001.log``. Changes are
numbered from 1; the *position* of the log is the number of its last change.

The log of a compacted version goes on with the numbers of the log before, so positions only grow.
Its first segment may have no change. A log *begins* with the newest segment that continues no other
one; older segments are of a former log of the same version, and are not read.

A segment begins with a header of 56 bytes, little-endian:

==========  ====  ==============================================================================
field       size  content
==========  ====  ==============================================================================
magic       8     ``BRCHANGE``
format      4     version of this format
previous    4     checksum of the last frame of the segment before, 1 instead of 0; 0 in the
                  segment with which the log begins
first       8     position of the first change
version     28    the first bytes of the SHA-256 of the name of the index version
checksum    4     CRC-32 of the fields above
==========  ====  ==============================================================================

Frames follow, without gaps. A frame is what one sync makes durable:

==========  ====  ==============================================================================
field       size  content
==========  ====  ==============================================================================
marker      4     ``CHGS``
checksum    4     CRC-32 of everything behind this field
previous    4     checksum of the frame before, or of the header
length      4     size of the changes in bytes
first       8     position of the first change
count       4     number of changes
changes           each with its size in 4 bytes before it; see ``change`` for the content
==========  ====  ==============================================================================

The checksums form a chain, so a reader notices a frame that was cut and written again.

**Torn and damaged.** The writer syncs a frame before it writes the next one. A frame at the end of
the last segment that is not whole is therefore *torn*: nobody was told that its changes are
durable. An invalid frame with a whole one behind it, or in an older segment, is *damaged*.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from retrieval_server.errors import ChangeLogError
from retrieval_server.index.changes_folder import SEGMENT_HEADER_BYTES, SEGMENT_SUFFIX

FORMAT_VERSION = 1
MAX_FRAME_BYTES = 2**30

_MAGIC, _MARKER = b"BRCHANGE", b"CHGS"
_HEADER = struct.Struct("<8sIIQ28sI")
_FRAME = struct.Struct("<4sIIIQI")
_CHECKED_FROM = 8  # bytes of a frame: marker and checksum come before
_SIZE = struct.Struct("<I")

HEADER_BYTES = SEGMENT_HEADER_BYTES
assert _HEADER.size == HEADER_BYTES, "see the table"
BEGINS = 0  # in place of the checksum before, in the first segment of a log
CHECKSUM_BYTES = _SIZE.size


@dataclass(frozen=True)
class Link:
    """Where the next frame goes.

    Attributes:
        offset: in the segment.
        position: of the last change before it.
        checksum: of the frame, or the header, before it.
        checksum_offset: where the segment has this checksum.
    """

    offset: int
    position: int
    checksum: int
    checksum_offset: int

    def moved(self, offset: int) -> Link:
        """The same link where its bytes begin at an offset of the segment."""
        return replace(
            self, offset=self.offset + offset, checksum_offset=self.checksum_offset + offset
        )

    def is_in(self, file: BinaryIO) -> bool:
        """Whether a segment still has the frame, or the header, before this link."""
        file.seek(self.checksum_offset)
        return file.read(CHECKSUM_BYTES) == _SIZE.pack(self.checksum)


@dataclass(frozen=True)
class Place:
    """How far a log was read.

    Attributes:
        segment: the name of the segment.
        end: where the next frame goes in it.
    """

    segment: str
    end: Link


def header_link(position: int, checksum: int) -> Link:
    """The link behind a header.

    Args:
        position: of the last change before the segment.
        checksum: of the header.
    """
    return Link(HEADER_BYTES, position, checksum, HEADER_BYTES - CHECKSUM_BYTES)


@dataclass(frozen=True)
class Frame:
    """A whole frame.

    Attributes:
        changes: the content of each change.
        end: where the next frame goes.
    """

    changes: tuple[bytes, ...]
    end: Link


def segment_name(first: int) -> str:
    """The name of a segment by the position of its first change."""
    return f"{first:020d}{SEGMENT_SUFFIX}"


def segment_names(folder: Path) -> list[str]:
    """The segments of a log in their order; none if there is no folder."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.suffix == SEGMENT_SUFFIX)
    return sorted(name for name in names if name.removesuffix(SEGMENT_SUFFIX).isdecimal())


def header_bytes(version: str, position: int, previous: int) -> bytes:
    """The header of a segment.

    Args:
        version: name of the index version.
        position: of the last change before the segment.
        previous: ``BEGINS``, or what ``continuing`` makes of the checksum before.
    """
    fields = (_MAGIC, FORMAT_VERSION, previous, position + 1, _version_digest(version))
    checked = _HEADER.pack(*fields, 0)[: -_SIZE.size]
    return checked + _SIZE.pack(zlib.crc32(checked))


def continuing(checksum: int) -> int:
    """What the header of a segment has of the checksum before it."""
    return checksum or 1


def checksum_of(header: bytes) -> int:
    """The checksum of a header."""
    checksum: int = _SIZE.unpack_from(header, HEADER_BYTES - _SIZE.size)[0]
    return checksum


def read_header(content: bytes, path: Path, version: str) -> tuple[Link, int]:
    """Read the header of a segment.

    Args:
        content: of the segment.
        path: of the segment, for messages.
        version: name of the index version.

    Returns:
        Where the first frame begins, and the checksum before the segment as the header has it.

    Raises:
        ChangeLogError: if it is damaged, of another version, or of a newer format.
    """
    if len(content) < HEADER_BYTES or not content.startswith(_MAGIC):
        raise ChangeLogError(f"{path} is no segment of a change log. {RESTORE}")
    _, written_format, previous, first, digest, checksum = _HEADER.unpack_from(content)
    if written_format != FORMAT_VERSION:
        raise ChangeLogError(
            f"The change log {path} has format {written_format}, this program reads "
            f"{FORMAT_VERSION}. Use the version of beauty-retrieval that wrote it."
        )
    if zlib.crc32(content[: HEADER_BYTES - _SIZE.size]) != checksum:
        raise ChangeLogError(f"The header of {path} is damaged. {RESTORE}")
    if digest != _version_digest(version):
        raise ChangeLogError(
            f"The change log {path} belongs to another version of the index than {version}. "
            "Move it back to the folder with that version's name."
        )
    return header_link(first - 1, checksum), previous


def frame_bytes(changes: Sequence[bytes], before: Link) -> tuple[bytes, Link]:
    """A frame, and where the next one goes.

    Args:
        changes: the content of each change, at least one.
        before: where it goes.
    """
    body = b"".join(part for change in changes for part in (_SIZE.pack(len(change)), change))
    fields = (before.checksum, len(body), before.position + 1, len(changes))
    checked = _FRAME.pack(_MARKER, 0, *fields)[_CHECKED_FROM:] + body
    checksum = zlib.crc32(checked)
    content = _MARKER + _SIZE.pack(checksum) + checked
    end = Link(
        before.offset + len(content),
        before.position + len(changes),
        checksum,
        before.offset + len(_MARKER),
    )
    return content, end


def frame_at(content: bytes, offset: int) -> Frame | None:
    """The frame at an offset of some bytes; None where there is no whole one."""
    if len(content) - offset < _FRAME.size or not content.startswith(_MARKER, offset):
        return None
    _, checksum, _, length, first, count = _FRAME.unpack_from(content, offset)
    end = offset + _FRAME.size + length
    if length > MAX_FRAME_BYTES or end > len(content):
        return None
    if zlib.crc32(content[offset + _CHECKED_FROM : end]) != checksum:
        return None
    changes, at = [], offset + _FRAME.size
    for _ in range(count):
        (size,) = _SIZE.unpack_from(content, at)
        at += _SIZE.size + size
        changes.append(content[at - size : at])
    return Frame(tuple(changes), Link(end, first - 1 + count, checksum, offset + len(_MARKER)))


def follows(content: bytes, offset: int, before: Link) -> bool:
    """Whether the whole frame at an offset is the one that follows what was read before."""
    _, _, previous, _, first, _ = _FRAME.unpack_from(content, offset)
    return bool(previous == before.checksum and first == before.position + 1)


def has_frame_behind(content: bytes, offset: int) -> bool:
    """Whether a whole frame begins behind an offset of some bytes."""
    at = content.find(_MARKER, offset + 1)
    while at >= 0:
        if frame_at(content, at) is not None:
            return True
        at = content.find(_MARKER, at + 1)
    return False


RESTORE = (
    "Restore it from a backup, or build the index again from the catalogue: beauty-export index"
)


def _version_digest(version: str) -> bytes:
    return hashlib.sha256(version.encode()).digest()[:28]
