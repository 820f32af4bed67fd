"""HEIC files put together box by box (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Reference = tuple[bytes, int, Sequence[int]]  # type, from, to


@dataclass(frozen=True)
class Item:
    """An item: its type, its size in pixels, and its data."""

    kind: bytes
    size: tuple[int, int]
    data: bytes = b""
    properties: tuple[bytes, ...] = ()  # further property boxes


def heif_file(items: Mapping[int, Item], references: Sequence[Reference] = ()) -> bytes:
    """A file whose primary item is the first."""
    file_type = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    place = len(file_type) + len(_meta(items, references, 0)) + 8
    contents = box(b"mdat", *(item.data for item in items.values()))
    return file_type + _meta(items, references, place) + contents


def grid(columns: int, rows: int, width: int, height: int) -> bytes:
    """The data of an item that is a grid of tiles."""
    return struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, width, height)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def _meta(items: Mapping[int, Item], references: Sequence[Reference], place: int) -> bytes:
    properties: list[bytes] = []
    associations = []
    locations = []
    for number, item in items.items():
        size = full_box(b"ispe", struct.pack(">II", *item.size))
        own = range(len(properties) + 1, len(properties) + 2 + len(item.properties))
        properties += [size, *item.properties]
        associations.append(struct.pack(">HB", number, len(own)) + bytes(own))
        locations.append(struct.pack(">HHHII", number, 0, 1, place, len(item.data)))
        place += len(item.data)
    count = struct.pack(">H", len(items))
    entries = [
        full_box(b"infe", struct.pack(">HH4s", number, 0, item.kind), b"\0", version=2)
        for number, item in items.items()
    ]
    links = [
        box(kind, struct.pack(f">HH{len(to)}H", source, len(to), *to))
        for kind, source, to in references
    ]
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", next(iter(items)))),
        full_box(b"iinf", count, *entries),
        full_box(b"iref", *links) if links else b"",
        box(
            b"iprp",
            box(b"ipco", *properties),
            full_box(b"ipma", struct.pack(">I", len(items)), *associations),
        ),
        full_box(b"iloc", b"\x44\0", count, *locations),
    )
