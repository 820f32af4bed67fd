"""How many pixels a HEIF file makes a decoder decode, from its boxes (ISO/IEC 14496-12, 23008-12).

The size of an image says little about that: it may be cut out of a larger one, or be a grid that
uses one tile many times, whose tiles are grids again. A file of 40 kB could keep a core busy for
hours. What is read here:

====  =========================================================================================
box   content
====  =========================================================================================
ispe  a property: width and height
ipco  the list of properties
ipma  the numbers of each item's properties in that list, from 1
iref  references between items: ``dimg``, an image is made of others; ``auxl``, an item belongs to
      another, as an alpha channel does
====  =========================================================================================
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_TABLES = {b"ipma", b"iref"}
_LARGEST_TABLE = 2**20  # bytes; a grid of 65,535 tiles needs less
_MOST_BOXES = 10_000  # in one box; libheif accepts 1,000 items
_MOST_ASSOCIATIONS = 4  # boxes ipma; the standard allows one of each version and width
_DEEPEST = 8  # images made of images; phones use two levels
_FULL_BOX = 4  # bytes of version and flags, with which some boxes begin

_Box = tuple[bytes, memoryview]  # type and content


@dataclass(frozen=True)
class DecodedPixels:
    """What a decoder has to decode.

    Attributes:
        largest: pixels of the largest image in the file.
        together: pixels of all that are decoded for the image that needs most: each tile as often
            as it is used, and alpha channels like colours.
    """

    largest: int
    together: int


def decoded_pixels(data: bytes) -> DecodedPixels:
    """Count the pixels that a decoder has to decode.

    Args:
        data: a HEIF file.

    Raises:
        ValueError: if the boxes are damaged, contradict each other, or are too large.
    """
    try:
        return _counted(memoryview(data))
    except (struct.error, IndexError) as error:
        raise ValueError("a box ends before its content") from error


def _counted(data: memoryview) -> DecodedPixels:
    meta = _only(_boxes(data, is_file=True), b"meta")[_FULL_BOX:]
    properties = _only(_boxes(meta), b"iprp")
    sizes = [_pixels(kind, body) for kind, body in _boxes(_only(_boxes(properties), b"ipco"))]
    own: dict[int, int] = defaultdict(int)
    for body in _all(_boxes(properties), b"ipma", most=_MOST_ASSOCIATIONS):
        for item, number in _associations(body):
            own[item] = max(own[item], sizes[number - 1] if number else 0)
    items = _Items(own, *_references(_only(_boxes(meta), b"iref", required=False)))
    return DecodedPixels(max(own.values(), default=0), items.most_pixels())


@dataclass
class _Items:
    """The items of a file.

    Attributes:
        own: pixels of each item.
        parts: the images that an item is made of.
        additions: what belongs to an item.
    """

    own: Mapping[int, int]
    parts: Mapping[int, Sequence[int]]
    additions: Mapping[int, Sequence[int]]
    _known: dict[int, int] = field(default_factory=dict)

    def most_pixels(self) -> int:
        return max((self._pixels(item) for item in {*self.own, *self.parts}), default=0)

    def _pixels(self, item: int, depth: int = 0) -> int:
        """Pixels that are decoded for an item."""
        if depth > _DEEPEST:
            raise ValueError("its images are made of images too many times")
        if item not in self._known:
            pixels = 0 if item in self.parts else self.own.get(item, 0)
            for piece in (*self.parts.get(item, ()), *self.additions.get(item, ())):
                pixels += self._pixels(piece, depth + 1)
            self._known[item] = pixels
        return self._known[item]


def _references(iref: memoryview) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """The parts of each item, and what belongs to each item."""
    parts: dict[int, list[int]] = defaultdict(list)
    additions: dict[int, list[int]] = defaultdict(list)
    if iref:
        width = "I" if iref[0] else "H"
        for kind, body in _boxes(iref[_FULL_BOX:]):
            source, count = struct.unpack_from(f">{width}H", body)
            targets = struct.unpack_from(f">{count}{width}", body, struct.calcsize(f">{width}H"))
            if kind == b"dimg":
                parts[source].extend(targets)
            elif kind == b"auxl":
                for target in targets:
                    additions[target].append(source)
    return parts, additions


def _associations(ipma: memoryview) -> Iterator[tuple[int, int]]:
    """Every item with each number of its properties."""
    wide_items, wide_numbers = ipma[0] > 0, ipma[3] & 1
    (entries,) = struct.unpack_from(">I", ipma, _FULL_BOX)
    place = _FULL_BOX + 4
    entry = struct.Struct(">IB" if wide_items else ">HB")
    for _ in range(entries):
        item, count = entry.unpack_from(ipma, place)
        place += entry.size
        # The highest bit says that the property is essential.
        numbers = struct.unpack_from(f">{count}{'H' if wide_numbers else 'B'}", ipma, place)
        place += count * (2 if wide_numbers else 1)
        yield from ((item, number & (0x7FFF if wide_numbers else 0x7F)) for number in numbers)


def _pixels(kind: bytes, body: memoryview) -> int:
    if kind != b"ispe":
        return 0
    width, height = struct.unpack_from(">II", body, _FULL_BOX)
    return int(width * height)


def _only(boxes: Iterable[_Box], wanted: bytes, *, required: bool = True) -> memoryview:
    """The content of the only box of a kind; empty if there is none and it is not required."""
    found = _all(boxes, wanted, most=1)
    if required and not found:
        raise ValueError(f"it has no box {wanted.decode()!r}")
    return found[0] if found else memoryview(b"")


def _all(boxes: Iterable[_Box], wanted: bytes, *, most: int) -> list[memoryview]:
    found = [body for kind, body in boxes if kind == wanted]
    if len(found) > most:
        raise ValueError(f"it has {len(found)} boxes {wanted.decode()!r}")
    if wanted in _TABLES and max(map(len, found), default=0) > _LARGEST_TABLE:
        raise ValueError(f"its box {wanted.decode()!r} has more than {_LARGEST_TABLE:,} bytes")
    return found


def _boxes(data: memoryview, *, is_file: bool = False) -> Iterator[_Box]:
    """The type and the content of each box in a row of boxes.

    Those of a file end at the first damaged one, as in libheif: some phones write other data there.
    """
    place = 0
    for _ in range(_MOST_BOXES):
        if place + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:  # the size follows, in 64 bits
            (size,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        elif size == 0:
            size = len(data) - place
        if not head <= size <= len(data) - place:
            if is_file:
                return
            raise ValueError(f"its box {kind!r} is longer than what contains it")
        yield kind, data[place + head : place + size]
        place += size
    raise ValueError(f"it has more than {_MOST_BOXES:,} boxes in one")
