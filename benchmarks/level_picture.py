"""The picture of docs/search.md: what each level of the cascade stores of a row, to scale.

    python -m benchmarks.level_picture

It takes every number from the levels themselves; a test compares the file with what it draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_database import MODELS
from retrieval_server.exact_search.kernels import layout
from retrieval_server.exact_search.levels.order import LEVELS
from retrieval_server.exact_search.originals import ORIGINALS

PICTURE = Path(__file__).parents[1] / "docs" / "search_levels.svg"
_DIMENSIONS = list(MODELS.values())
_ALL = sum(_DIMENSIONS)
_WIDTH, _LEFT, _BAND, _TOP = 860, 150, 104, 34
_DRAWN = 420  # width of the codes of a level
_BIT = 5  # height of a bit
_CUT_BITS = 12  # bits that are drawn of a float
_EARLIER, _ADDED, _INK, _GREY = "#c9d4e3", "#2f6fb3", "#1b1b1b", "#6a6a6a"
_NOTES = {
    "coarse": ("every row", "codes on the leading axes"),
    "middle": ("rows with a bound ≥ τ", "more bits on some axes, and further axes"),
    "residual": ("fewer rows", "codes of what the axes leave out"),
    "bytes": ("few rows", "each descriptor by itself, without axes"),
    ORIGINALS: ("the last rows, by falling bound", "the descriptors, summed in float64"),
}

Bits = NDArray[np.int64]  # bits of a code, by axis or dimension


def axis_bits() -> tuple[Bits, Bits]:
    """Bits of the coarse level's codes, and of the middle level's on top of them, by axis."""
    coarse = np.zeros(layout.AXES, np.int64)
    coarse[: layout.COARSE_AXES] = layout.COARSE_TABLE.axis_bits
    return coarse, layout.MIDDLE_TABLE.axis_bits - coarse


def bytes_a_row(descriptor_bytes: int = layout.FLOAT32_BYTES) -> dict[str, int]:
    """Bytes of a row at each level, codes and bounds, with the descriptors as the last.

    Args:
        descriptor_bytes: of a value of a descriptor.
    """
    rows = layout.BLOCK_ROWS
    sizes = {
        level.name: sum(
            int(np.prod(shape)) * np.dtype(dtype).itemsize
            for shape, dtype in level.shapes(_DIMENSIONS, rows)
        )
        // rows
        for level in LEVELS
    }
    return sizes | {ORIGINALS: _ALL * descriptor_bytes}


def picture() -> str:
    """The picture as SVG."""
    coarse, middle = axis_bits()
    every = np.ones(_ALL, np.int64)
    drawings = (
        (coarse, 0 * coarse),
        (middle, coarse),
        (every * layout.RESIDUAL_BITS, 0 * every),
        (every * 8, 0 * every),
        (every * 8 * layout.FLOAT32_BYTES, 0 * every),
    )
    height = _TOP + _BAND * len(drawings)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" font-family="sans-serif" font-size="12" fill="{_INK}">',
        "<title>The levels of the exact search</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20">bits of a row at each axis or dimension (height); '
        "dark: what this level reads, light: known from the level above</text>",
    ]
    for number, ((name, size), bits) in enumerate(
        zip(bytes_a_row().items(), drawings, strict=True)
    ):
        parts += _level(_TOP + _BAND * number, name, size, *bits)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _level(top: int, name: str, size: int, added: Bits, earlier: Bits) -> Iterator[str]:
    base = top + _BAND - 30
    read_by, note = _NOTES[name]
    yield f'<text x="10" y="{base - 22}" font-weight="bold">{name}</text>'
    yield f'<text x="10" y="{base - 4}">{size:,} bytes a row</text>'
    yield from _codes(base, earlier, np.zeros_like(earlier), _EARLIER, "")
    yield from _codes(base, added, earlier, _ADDED, "#ffffff")
    unit = "axes" if len(added) == layout.AXES else "dimensions"
    yield (
        f'<text x="{_LEFT}" y="{base + 14}" fill="{_GREY}" font-size="11">'
        f"{_described(added, earlier)} of {len(added):,} {unit}</text>"
    )
    right = _LEFT + _DRAWN + 16
    yield f'<text x="{right}" y="{base - 22}" font-weight="bold">{read_by}</text>'
    yield f'<text x="{right}" y="{base - 6}" fill="{_GREY}" font-size="11">{note}</text>'
    if name != ORIGINALS:
        yield (
            f'<path d="M{right + 4} {base + 8} v26 l-4 -6 m4 6 l4 -6" fill="none" '
            f'stroke="{_GREY}"/><text x="{right + 16}" y="{base + 26}" fill="{_GREY}" '
            'font-size="11">bound &lt; τ: the row is dropped</text>'
        )


def _codes(base: int, bits: Bits, below: Bits, colour: str, label: str) -> Iterator[str]:
    """A box for each run of equal bits, on top of what lies below."""
    scale = _DRAWN / len(bits)
    for first, last, count, under in _runs(bits, below):
        if count == 0:
            continue
        height = _BIT * min(count, _CUT_BITS)
        shown = f"{count}" if count <= _CUT_BITS else f"{count} (cut off)"
        x, width = _LEFT + first * scale, (last - first) * scale
        y = base - _BIT * under - height
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}">'
            f"<title>{first:,} to {last - 1:,}: {count} bits</title></rect>"
        )
        if label and width > 20:
            yield (
                f'<text x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" fill="{label}" '
                f'text-anchor="middle" font-size="{min(11, height)}">{shown}</text>'
            )


def _runs(bits: Bits, below: Bits) -> Iterator[tuple[int, int, int, int]]:
    """First, last + 1, bits and bits below of each run of equal values."""
    first = 0
    for (count, under), run in groupby(zip(bits.tolist(), below.tolist(), strict=True)):
        last = first + len(list(run))
        yield first, last, count, under
        first = last


def _described(added: Bits, earlier: Bits) -> str:
    """Such as "4 bits on 16, 2 on 240"; neighbours with equal bits are one."""
    pieces: list[tuple[int, int]] = []
    for first, last, count, _ in _runs(added, 0 * earlier):
        if count:
            pieces.append((count, last - first))
    return ", ".join(
        f"{count}{' bits' if n == 0 else ''} on {size:,}" for n, (count, size) in enumerate(pieces)
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
