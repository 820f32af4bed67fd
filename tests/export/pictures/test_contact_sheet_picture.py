"""A query of a contact sheet as one picture: marks, frames, size."""

import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor

from export.pictures.contact_sheet import write_contact_sheet
from export.pictures.contact_sheet_picture import CHANGES, TRUE_FRAME, picture
from export.pictures.lettering import QUIET
from export.pictures.rankings import query_rankings
from tests.support.export.search_results import match


def colours(picture: Image.Image, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    wanted = ImageColor.getrgb(colour)
    return sum(count for count, found in picture.getcolors(2**24) if found == wanted)


def test_each_query_becomes_a_png_with_marked_and_framed_products(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    results, pictures = tmp_path / "results.jsonl", tmp_path / "made" / "png"
    plain = {**result, "query": "nowhere/caf\udce9 2.jpg", "results": result["initial_results"]}
    failed = {"query": "broken.jpg", "error": "image: is empty."}
    results.write_text("".join(json.dumps(record) + "\n" for record in (result, failed, plain)))
    write_contact_sheet(results, tiny_catalogue, tmp_path / "s.html", pictures=pictures)
    assert sorted(path.name for path in pictures.iterdir()) == ["0001-q00.png", "0002-caf? 2.png"]
    with Image.open(pictures / "0001-q00.png") as first:
        assert first.width > 7 * 150
        for colour in (TRUE_FRAME, CHANGES["removed"], CHANGES["brought"]):
            assert colours(first.convert("RGB"), colour) > 500
    with Image.open(pictures / "0002-caf? 2.png") as second:  # nothing changed, nothing is true
        for colour, is_there in (
            (TRUE_FRAME, False),
            (CHANGES["brought"], False),
            (CHANGES["kept"], True),
        ):
            assert (colours(second.convert("RGB"), colour) > 500) == is_there


def test_png_grows_with_the_results_and_holds_all_of_them(
    tmp_path: Path, tiny_catalogue: Path, result: dict[str, Any]
) -> None:
    ids = [f"p{family:02d}0{member}" for family in range(4) for member in range(5)]
    heights = []
    for count in (7, 8, 20):
        found = [match(rank, p, tiny_catalogue) for rank, p in enumerate(ids[:count], 1)]
        rankings = query_rankings(
            {**result, "initial_results": found, "results": found}, Path(), {}
        )
        assert rankings is not None
        heights.append(picture(rankings, []).height)
    assert heights[0] < heights[1] < heights[2]


def test_words_that_were_read_are_drawn_below_the_photo(result: dict[str, Any]) -> None:
    pictures = []
    for texts in ([], ["NUXE", "Body Oil"]):
        lines = [{"text": text} for text in texts]
        empty = {"initial_results": [], "results": [], "read_lines": lines}
        rankings = query_rankings({**result, **empty}, Path(), {})
        assert rankings is not None
        pictures.append(picture(rankings, []))
    without, with_words = pictures
    assert with_words.height > without.height
    assert colours(with_words, QUIET) > colours(without, QUIET)
