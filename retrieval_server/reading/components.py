"""The connected components of a text map, by their runs: compiled.

A run is a horizontal stretch of text. A component consists of runs that touch, corners included.
The work and the memory are bounded by the size of the map, whatever it shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval_server.compilation import compiled


class Components(NamedTuple):
    """The components of a map, ordered by their first run.

    Attributes:
        rows: (R,) row of each run, ascending.
        firsts: (R,) its first column.
        lasts: (R,) its last column.
        labels: (R,) its component.
        extents: (C, 4) left, top, right and bottom of each component, all included.
        masses: (C,) the sum of the map over each component.
    """

    rows: NDArray[np.int32]
    firsts: NDArray[np.int32]
    lasts: NDArray[np.int32]
    labels: NDArray[np.int32]
    extents: NDArray[np.int32]
    masses: NDArray[np.int64]


@compiled
def find_components(text_map: NDArray[np.uint8], threshold: int) -> Components:
    """Find the components of the pixels that reach a threshold, dilated by one pixel.

    A pixel is text if it, the one before it, the one above it or the one before that reaches the
    threshold, as OpenCV dilates by a kernel of 2 × 2.

    Args:
        text_map: (H, W).
        threshold: the least value of text.
    """
    height, width = text_map.shape
    most = height * (width // 2 + 1)
    rows, firsts = np.empty(most, np.int32), np.empty(most, np.int32)
    lasts, parents = np.empty(most, np.int32), np.empty(most, np.int32)
    sums = np.empty(most, np.int64)
    is_text = np.zeros(width + 1, np.bool_)  # of the current row; the last one ends every run
    count = above = 0  # runs so far; the first run of the row above
    for row in range(height):
        start = count
        _dilate(text_map, row, threshold, is_text)
        for column in range(width):
            if not is_text[column]:
                continue
            if column == 0 or not is_text[column - 1]:
                rows[count], firsts[count], parents[count], sums[count] = row, column, count, 0
            sums[count] += text_map[row, column]
            if not is_text[column + 1]:
                lasts[count] = column
                count += 1
        _join_rows(firsts, lasts, parents, above, start, count)
        above = start
    labels = _label(parents, count)
    extents, masses = _measure(rows, firsts, lasts, sums, labels)
    return Components(
        rows[:count].copy(), firsts[:count].copy(), lasts[:count].copy(), labels, extents, masses
    )


@compiled
def _dilate(
    text_map: NDArray[np.uint8], row: int, threshold: int, is_text: NDArray[np.bool_]
) -> None:
    """Find the text of one row."""
    is_before = False
    for column in range(text_map.shape[1]):
        is_here = text_map[row, column] >= threshold
        if row > 0:
            is_here |= text_map[row - 1, column] >= threshold
        is_text[column] = is_here | is_before
        is_before = is_here


@compiled
def _join_rows(
    firsts: NDArray[np.int32],
    lasts: NDArray[np.int32],
    parents: NDArray[np.int32],
    above: int,
    start: int,
    count: int,
) -> None:
    """Join the runs [start, count) of a row with those [above, start) of the row above it."""
    candidate = above
    for run in range(start, count):
        while candidate < start and lasts[candidate] < firsts[run] - 1:
            candidate += 1
        touching = candidate
        while touching < start and firsts[touching] <= lasts[run] + 1:
            first, second = _root(parents, touching), _root(parents, run)
            parents[max(first, second)] = min(first, second)
            touching += 1


@compiled
def _root(parents: NDArray[np.int32], run: int) -> int:
    """The first run of a component, as far as its runs are joined."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _label(parents: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Number the components by their first run."""
    labels = np.empty(count, np.int32)
    components = 0
    for run in range(count):
        root = _root(parents, run)
        if root == run:
            labels[run] = components
            components += 1
        else:
            labels[run] = labels[root]
    return labels


@compiled
def _measure(
    rows: NDArray[np.int32],
    firsts: NDArray[np.int32],
    lasts: NDArray[np.int32],
    sums: NDArray[np.int64],
    labels: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The extents and the masses of the components."""
    components = labels.max() + 1 if labels.size else 0
    extents = np.empty((components, 4), np.int32)
    extents[:, :2], extents[:, 2:] = np.iinfo(np.int32).max, -1
    masses = np.zeros(components, np.int64)
    for run in range(labels.size):
        extent = extents[labels[run]]
        extent[0], extent[1] = min(extent[0], firsts[run]), min(extent[1], rows[run])
        extent[2], extent[3] = max(extent[2], lasts[run]), max(extent[3], rows[run])
        masses[labels[run]] += sums[run]
    return extents, masses
