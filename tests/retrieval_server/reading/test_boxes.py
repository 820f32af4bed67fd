"""Boxes of a text map: components, rectangles, means, and their bounds."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from retrieval_server.reading.boxes import MAX_BOXES, TEXT, find_boxes
from retrieval_server.reading.components import find_components
from retrieval_server.reading.expansion import expanded_rectangles
from retrieval_server.reading.means import means_inside
from retrieval_server.reading.rectangles import minimal_rectangles

EIGHT_NEIGHBOURS = np.ones((3, 3))


def drawn(corners: list[tuple[float, float]], height: int = 200, width: int = 300) -> NDArray:
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).polygon(corners, fill=255)
    return np.asarray(image)


def tilted(centre: tuple[float, float], width: float, height: float, degrees: float) -> NDArray:
    """Corners of a rectangle, clockwise on the screen from its top left."""
    across = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    down = np.array([-across[1], across[0]])
    signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return np.array([centre + s * across * width / 2 + t * down * height / 2 for s, t in signs])


def boxes_of(text_map: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The boxes on a photo of the map's size."""
    height, width = text_map.shape
    return find_boxes(text_map, width, height)


def dilated(mask: NDArray) -> NDArray:
    padded = np.pad(mask, ((1, 0), (1, 0)))
    return padded[1:, 1:] | padded[:-1, 1:] | padded[1:, :-1] | padded[:-1, :-1]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.1, 0.2, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (37, 53), (64, 64)])
def test_components_are_those_that_scipy_labels(density: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(int(density * 100))
    text_map = np.where(
        rng.random(shape) < density,
        rng.integers(TEXT, 256, shape),
        rng.integers(0, TEXT, shape),
    ).astype(np.uint8)
    expected, count = ndimage.label(dilated(text_map >= TEXT), EIGHT_NEIGHBOURS)

    found = find_components(text_map, TEXT)

    labels = np.zeros(shape, int)
    for row, first, last, label in zip(*found[:4], strict=True):
        labels[row, first : last + 1] = label + 1
    assert len(found.masses) == count
    pairs = np.unique(np.stack([labels.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == count + (0 in labels)  # one to one
    for label, (left, top, right, bottom) in enumerate(found.extents, start=1):
        rows, columns = np.nonzero(labels == label)
        assert (left, top, right, bottom) == (
            *[columns.min(), rows.min()],
            columns.max(),
            rows.max(),
        )
        assert found.masses[label - 1] == text_map[labels == label].sum()


def test_box_of_an_upright_line_is_what_can_be_worked_out_on_paper() -> None:
    text_map = np.zeros((100, 100), np.uint8)
    text_map[20:36, 10:42] = 255
    # dilated to columns 10..42 and rows 20..36: 32 × 16 between centres; 1.6 · 512 / 96 = 8.53
    left, top, right, bottom = 10 - 9, 20 - 9, 42 + 9, 36 + 9

    (box,) = boxes_of(text_map)

    assert box.tolist() == [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_box_is_in_whole_pixels_of_the_photo_and_ends_at_its_edge() -> None:
    text_map = np.zeros((96, 96), np.uint8)
    text_map[20:36, 0:32] = 255  # as above: from column -9 to 41 of the map, from row 11 to 45

    (box,) = find_boxes(text_map, 144, 192)

    right, top, bottom = 62, 22, 90  # 61.5 is rounded to the even number
    assert box.tolist() == [[0, top], [right, top], [right, bottom], [0, bottom]]


@pytest.mark.parametrize("degrees", [-80, -46, -30, -3, 0, 7, 30, 44, 60, 89])
def test_box_of_a_tilted_line_lies_along_it(degrees: float) -> None:
    text_map = drawn([tuple(corner) for corner in tilted((150, 100), 120, 16, degrees)])

    (box,) = boxes_of(text_map)

    distance = 1.6 * 120 * 16 / (2 * (120 + 16))
    expected = tilted((150, 100), 120 + 2 * distance, 16 + 2 * distance, degrees)
    for corner in expected:  # in whatever order
        assert np.linalg.norm(box - corner, axis=1).min() < 5  # drawn and dilated
    assert box[[0, 3], 0].max() < box[[1, 2], 0].min()  # the left side comes first and last
    assert box[0, 1] < box[3, 1]
    assert box[1, 1] < box[2, 1]


@pytest.mark.parametrize("seed", range(20))
def test_rectangle_is_the_smallest_of_all_directions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blob = ndimage.gaussian_filter(rng.normal(size=(60, 80)), 4) > 0.02
    labels, _ = ndimage.label(blob, EIGHT_NEIGHBOURS)
    mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    rows = np.flatnonzero(mask.any(axis=1)).astype(np.int32)
    firsts = mask[rows].argmax(axis=1).astype(np.int32)
    lasts = (79 - mask[rows, ::-1].argmax(axis=1)).astype(np.int32)

    (rectangle,) = minimal_rectangles(rows, firsts, lasts, np.array([0, len(rows)]))

    ys, xs = np.nonzero(mask)
    angles = np.radians(np.arange(0, 90, 0.05))
    across = np.outer(xs, np.cos(angles)) + np.outer(ys, np.sin(angles))
    down = np.outer(ys, np.cos(angles)) - np.outer(xs, np.sin(angles))
    areas = np.ptp(across, axis=0) * np.ptp(down, axis=0)
    right, down = rectangle[1] - rectangle[0], rectangle[3] - rectangle[0]
    assert np.hypot(*right) * np.hypot(*down) <= areas.min() * (1 + 1e-5)
    for side in (right, down):
        reached = (np.stack([xs, ys], axis=1) - rectangle[0]) @ side / (side @ side)
        assert reached.min() == pytest.approx(0, abs=1e-5)
        assert reached.max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_sides_of_an_expanded_rectangle_move_by_the_rule_within_the_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, degrees = tuple(rng.uniform(100, 200, 2)), rng.uniform(-90, 90)
    width, height = rng.uniform(4, 150, 2)

    (expanded,) = expanded_rectangles(tilted(centre, width, height, degrees)[None].astype("f4"))

    distance = 1.6 * width * height / (2 * (width + height))
    expected = tilted(centre, width + 2 * distance, height + 2 * distance, degrees)
    for corner in expected:  # in whatever order; each coordinate is rounded twice
        assert np.linalg.norm(expanded - corner, axis=1).min() < 3


@pytest.mark.parametrize("seed", range(20))
def test_mean_is_over_the_pixels_inside_and_those_on_the_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text_map = rng.integers(0, 256, (50, 70), dtype=np.uint8)
    corners = tilted(tuple(rng.uniform(20, 50, 2)), *rng.uniform(4, 30, 2), rng.uniform(-90, 90))
    image = Image.new("1", (70, 50))
    whole = [tuple(map(int, corner)) for corner in corners]
    ImageDraw.Draw(image).polygon(whole, fill=1, outline=1)

    (mean,) = means_inside(text_map, corners[None].astype(np.float32))

    # an edge that passes between two pixels may be drawn through the other one
    assert mean == pytest.approx(text_map[np.asarray(image)].mean(), abs=6)


def test_mean_outside_of_the_map_is_zero() -> None:
    full = np.full((50, 70), 255, np.uint8)
    beside = tilted((90, 25), 10, 10, 30)[None].astype(np.float32)
    assert means_inside(full, beside).tolist() == [0]
    assert means_inside(full, beside - np.float32(20)).tolist() == [255]


def test_weak_thin_and_tiny_marks_are_no_lines() -> None:
    text_map = np.zeros((100, 200), np.uint8)
    text_map[10:20, 10:90] = TEXT  # nowhere as sure as a half
    text_map[40:42, 10:90] = 255  # two pixels high: two between the centres, dilated
    text_map[60:62, 10:12] = 255
    text_map[80, 50] = 255
    assert len(boxes_of(text_map)) == 0


def test_box_whose_corners_the_edge_of_the_photo_moves_inwards_is_dropped() -> None:
    """Its corners become (7, 60), (7, 95), (31, 95) and (0, 76): the first one is a dent."""
    tilted_at_the_edge = drawn([(5, 71), (25, 103), (15, 109), (-5, 77)], 96, 96)
    assert len(boxes_of(tilted_at_the_edge)) == 0
    assert len(boxes_of(drawn([(15, 41), (35, 73), (25, 79), (5, 47)], 96, 96))) == 1


def test_heaviest_box_comes_first() -> None:
    text_map = np.zeros((100, 200), np.uint8)
    text_map[10:20, 10:60], text_map[40:60, 10:110], text_map[80:90, 10:80] = 255, 255, 255
    assert [round(box[:, 1].mean()) for box in boxes_of(text_map)] == [50, 85, 15]


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("shape", [(32, 32), (32, 1600), (736, 736)])
def test_empty_and_full_maps_give_no_box_and_one(value: int, shape: tuple[int, int]) -> None:
    assert len(boxes_of(np.full(shape, value, np.uint8))) == (value > 0)


def pattern(name: str) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:736, :1600]
    marks = {
        "pixels": (rows % 2 == 0) & (columns % 2 == 0),
        "squares": (rows % 7 < 5) & (columns % 7 < 5),
        "rows": rows % 8 < 5,
        "diagonals": (rows + columns) % 12 < 6,
        "rings": np.hypot(rows - 368, columns - 800) % 8 < 5,
        "noise": np.random.default_rng(0).random((736, 1600)) < 0.2,
    }
    return marks[name].astype(np.uint8) * 255


@pytest.mark.parametrize("name", ["pixels", "squares", "rows", "diagonals", "rings", "noise"])
def test_patterns_that_explode_into_components_give_a_bounded_number_of_boxes(name: str) -> None:
    boxes = boxes_of(pattern(name))
    assert len(boxes) <= MAX_BOXES
    assert np.isfinite(boxes).all()


def test_map_that_cannot_be_written_to_has_the_same_boxes() -> None:
    text_map = drawn([(20, 20), (120, 30), (118, 50), (18, 40)])
    read_only = np.frombuffer(text_map.tobytes(), np.uint8).reshape(text_map.shape)
    assert np.array_equal(boxes_of(read_only), boxes_of(text_map.copy()))
