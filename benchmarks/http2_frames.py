"""HTTP/2 as far as a caller of gRPC needs it: frames, and the fields of a header block.

RFC 9113 defines the frames, RFC 7541 the header blocks. A peer that is told ``NO_TABLE`` keeps no
table of header fields. It sends each field with its name, or by its number in the RFC's table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
LONGEST_PAYLOAD = 16_384  # bytes that every peer accepts
FIRST_WINDOW = 65_535  # bytes that may be sent before the peer says otherwise
LARGEST_WINDOW = 2**31 - 1

_HEADER = struct.Struct("!HBBBI")  # 3 bytes of length, type, flags, stream
_SETTING = struct.Struct("!HI")


class Kind(IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


class Setting(IntEnum):
    """What one end tells the other about itself."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    ALLOW_TRUE_BINARY_METADATA = 0xFE03  # gRPC's own: metadata of bytes is sent as bytes


NO_TABLE = (Setting.HEADER_TABLE_SIZE, 0)


class Frame(NamedTuple):
    """One frame; its stream is 0 if it concerns the connection."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: Kind, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """Write a frame."""
    high, low = divmod(len(payload), 256)
    return _HEADER.pack(high, low, kind, flags, stream) + payload


def number_frame(kind: Kind, stream: int, number: int) -> bytes:
    """Write a WINDOW_UPDATE or an RST_STREAM, which consist of a number."""
    return frame(kind, 0, stream, struct.pack("!I", number))


def settings_frame(*settings: tuple[Setting, int]) -> bytes:
    """Write the settings of this end."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in settings))


def number_of(payload: bytes) -> int:
    """Read what ``number_frame`` writes."""
    return int.from_bytes(payload)


def settings_of(payload: bytes) -> dict[int, int]:
    """Read what ``settings_frame`` writes."""
    return dict(_SETTING.iter_unpack(payload))


def frames(buffer: bytearray) -> Iterator[Frame]:
    """Take the whole frames from the beginning of a buffer; the rest stays in it.

    Raises:
        ValueError: if a header block comes in parts, or with padding or a priority; gRPC's do not.
    """
    start = 0
    while len(buffer) - start >= _HEADER.size:
        high, low, kind, flags, stream = _HEADER.unpack_from(buffer, start)
        end = start + _HEADER.size + (high << 8 | low)
        if len(buffer) < end:
            break
        if kind == Kind.HEADERS and flags & ~END_STREAM != END_HEADERS:
            raise ValueError(f"A header block has the flags {flags:#x}.")
        yield Frame(kind, flags, stream, bytes(buffer[start + _HEADER.size : end]))
        start = end
    del buffer[:start]


def named_field(name: bytes, value: bytes) -> bytes:
    """Write a header field with its name; neither may have 127 bytes or more."""
    return b"".join((b"\0", bytes((len(name),)), name, bytes((len(value),)), value))


def named_fields(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read the fields of a header block that are sent with their names.

    Args:
        block: of a peer that was told ``NO_TABLE``.

    Yields:
        Name and value. A value that is Huffman-coded stays so.

    Raises:
        ValueError: if a name is Huffman-coded; gRPC's are not.
    """
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # a field of the RFC's table
            _, at = _integer(block, at, 7)
        elif first & 0xE0 == 0x20:  # the size of the table that the peer does not keep
            _, at = _integer(block, at, 5)
        else:
            number, at = _integer(block, at, 6 if first & 0x40 else 4)
            name = b""
            if not number:
                if block[at] & 0x80:
                    raise ValueError(f"The name of a header field is Huffman-coded: {block!r}")
                name, at = _text(block, at)
            value, at = _text(block, at)
            if name:
                yield name, value


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    """Read a text, and where it ends."""
    length, at = _integer(block, at, 7)
    return block[at : at + length], at + length


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Read an integer that begins in the last bits of a byte (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    value, at, shift = block[at] & most, at + 1, 0
    if value < most:
        return value, at
    while True:
        value += (block[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if block[at - 1] < 0x80:
            return value, at
