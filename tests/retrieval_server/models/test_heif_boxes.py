"""How many pixels a HEIF file makes a decoder decode, whatever size its image has."""

import random
import struct
from collections.abc import Mapping, Sequence

import pytest

from retrieval_server.models.heif_boxes import DecodedPixels, decoded_pixels
from tests.support.heif_files import Item, Reference, box, full_box, grid, heif_file

CODED = b"hvc1"
SINGLE = heif_file({1: Item(CODED, (640, 480), b"pixels")})
TABLE = full_box(b"meta", box(b"iprp", box(b"ipco")), full_box(b"iref", bytes(2**20)))


def a_grid(tiles: int, size: tuple[int, int] = (512, 512)) -> Item:
    return Item(b"grid", size, grid(tiles, 1, *size))


@pytest.mark.parametrize(
    ("items", "references", "pixels"),
    [
        ({1: Item(CODED, (640, 480))}, [], 640 * 480),
        ({1: Item(CODED, (640, 480)), 2: Item(CODED, (80, 60))}, [(b"thmb", 2, [1])], 640 * 480),
        ({1: Item(CODED, (640, 480)), 2: Item(CODED, (640, 480))}, [(b"auxl", 2, [1])], 614_400),
        ({1: a_grid(2), 2: Item(CODED, (512, 512))}, [(b"dimg", 1, [2, 2])], 2 * 512 * 512),
        ({1: a_grid(9, (9, 9)), 2: Item(CODED, (8, 8))}, [(b"dimg", 1, [2] * 9)], 9 * 64),
        (
            {1: a_grid(16), 2: a_grid(4), 3: Item(CODED, (8192, 8192))},
            [(b"dimg", 1, [2] * 16), (b"dimg", 2, [3] * 4)],
            64 * 8192 * 8192,
        ),
        (
            {1: a_grid(2), 2: Item(CODED, (512, 512)), 3: Item(CODED, (512, 512))},
            [(b"dimg", 1, [2, 2]), (b"auxl", 3, [2])],
            4 * 512 * 512,
        ),
    ],
    ids=["one", "thumbnail", "alpha", "grid", "cut grid", "grid of grids", "tiles with alpha"],
)
def test_each_tile_counts_as_often_as_it_is_used(
    items: Mapping[int, Item], references: Sequence[Reference], pixels: int
) -> None:
    assert decoded_pixels(heif_file(items, references)).together == pixels


def test_a_small_part_cut_out_of_a_large_image_counts_as_the_large_one() -> None:
    clap = box(b"clap", struct.pack(">8i", 100, 1, 100, 1, 0, 1, 0, 1))
    file = heif_file({1: Item(CODED, (8192, 8192), b"", (clap,))})
    assert decoded_pixels(file) == DecodedPixels(2**26, 2**26)


def test_wide_numbers_are_read_as_narrow_ones() -> None:
    size = full_box(b"ispe", struct.pack(">II", 30, 20))
    associations = struct.pack(">I", 1) + struct.pack(">IBH", 7, 1, 0x8001)
    ipma = box(b"ipma", b"\1\0\0\1", associations)
    iref = full_box(b"iref", box(b"dimg", struct.pack(">IHII", 9, 2, 7, 7)), version=1)
    file = full_box(b"meta", box(b"iprp", box(b"ipco", size), ipma), iref)
    large = struct.pack(">I4sQ", 1, b"meta", len(file) + 8) + file[8:]  # its length in 64 bits
    assert decoded_pixels(file) == decoded_pixels(large) == DecodedPixels(600, 1200)


def test_what_phones_write_behind_the_boxes_does_not_matter() -> None:
    assert decoded_pixels(SINGLE + b"SEFH not a box at all") == decoded_pixels(SINGLE)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"", "no box 'meta'"),
        (SINGLE + full_box(b"meta"), "2 boxes 'meta'"),
        (SINGLE + box(b"free") * 20_000 + full_box(b"meta"), "more than 10,000 boxes"),
        (full_box(b"meta"), "no box 'iprp'"),
        (full_box(b"meta", box(b"iprp", box(b"ipco", b"\0\0\1\0ispe"))), "longer than"),
        (full_box(b"meta", box(b"iprp", box(b"ipco"), full_box(b"ipma", b"\0\0\0\1"))), "ends"),
        (TABLE, "more than 1,048,576 bytes"),
        (full_box(b"meta", *[box(b"free")] * 20_000), "more than 10,000 boxes"),
        (heif_file({1: a_grid(1)}, [(b"dimg", 1, [1])]), "too many times"),
    ],
    ids=[
        "empty",
        "two",
        "two far apart",
        "no sizes",
        "too long",
        "too short",
        "large",
        "many",
        "circle",
    ],
)
def test_damaged_boxes_are_refused_and_say_what_is_wrong(file: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decoded_pixels(file)


def test_random_damage_gives_a_number_or_a_value_error_and_nothing_else() -> None:
    chance = random.Random(13)
    whole = heif_file({1: a_grid(2), 2: Item(CODED, (512, 512))}, [(b"dimg", 1, [2, 2])])
    counted = 0
    for _ in range(2_000):
        data = bytearray(whole[: chance.randint(0, len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randint(0, 4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            counted += decoded_pixels(bytes(data)).together >= 0
        except ValueError:
            continue
    assert counted > 200
