"""What the rendered sample catalogue promises to a first user and to the evaluation."""

import csv
import hashlib
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.sample import write_sample
from export.sample.item_sprite import generator
from export.sample.items import Item, imperial, sample_items
from export.sample.product_kinds import KINDS
from export.sample.wording import descriptions
from export.sample.write_sample import (
    queried_items,
    query_name,
    sample_listings,
    save_listing,
    save_query,
)

SEED = 0
EXIF_ORIENTATION = 274
MEBIBYTE = 2**20


class InterruptionError(Exception):
    """Stands for the user's Ctrl-C."""


def interrupt(done: int, total: int) -> None:
    """Progress callback of a user who loses patience after three pictures."""
    if done == 3:
        raise InterruptionError(f"{done} of {total}")


def lookalikes(item: Item, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Items of other brands in the same packaging design."""
    return tuple(other for other in items if other.pack == item.pack and other.brand != item.brand)


def rows_of(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file with a header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def catalogue(sample: Path) -> list[dict[str, str]]:
    """Rows of catalog.csv."""
    return rows_of(sample / "catalog.csv")


@pytest.fixture(scope="module")
def ground_truth(sample: Path) -> dict[str, list[str]]:
    """Relevant ids by query image."""
    return {row["query_image"]: row["ids"].split() for row in rows_of(sample / "ground_truth.csv")}


def test_sample_has_the_promised_counts_and_size(
    sample: Path, catalogue: list[dict[str, str]], ground_truth: dict[str, list[str]]
) -> None:
    assert 280 <= len(catalogue) <= 320
    assert 75 <= len(sample_items()) <= 90
    assert 18 <= len({item.brand.name for item in sample_items()}) <= 24
    assert len(ground_truth) == 60
    assert sum(path.stat().st_size for path in sample.rglob("*")) < 25 * MEBIBYTE


def test_catalogue_has_the_documented_columns_and_ids_in_order(
    catalogue: list[dict[str, str]],
) -> None:
    assert list(catalogue[0]) == ["id", "image", "description", "brand", "category", "price"]
    assert [row["id"] for row in catalogue] == [f"s{n + 1:04d}" for n in range(len(catalogue))]
    assert all(float(row["price"]) > 0 for row in catalogue)


def test_every_image_opens_and_has_a_catalogue_size(
    sample: Path, catalogue: list[dict[str, str]]
) -> None:
    sizes, formats = set(), set()
    for row in catalogue:
        with Image.open(sample / row["image"]) as picture:
            picture.load()
            sizes.add(picture.size)
            formats.add(picture.format)
    assert len(sizes) > 1
    assert {max(size) for size in sizes} <= set(range(400, 641))
    assert formats == {"JPEG", "PNG", "WEBP"}


def test_every_query_opens_and_some_need_their_exif_orientation(
    sample: Path, ground_truth: dict[str, list[str]]
) -> None:
    orientations = []
    for name in ground_truth:
        with Image.open(sample / name) as picture:
            picture.load()
            orientations.append(picture.getexif().get(EXIF_ORIENTATION, 1))
    assert 3 <= sum(orientation != 1 for orientation in orientations) <= 20


def test_every_query_has_two_to_six_relevant_ids_of_one_brand_and_category(
    catalogue: list[dict[str, str]], ground_truth: dict[str, list[str]]
) -> None:
    listings = {row["id"]: row for row in catalogue}
    for ids in ground_truth.values():
        assert 2 <= len(set(ids)) == len(ids) <= 6
        assert len({(listings[i]["brand"], listings[i]["category"]) for i in ids}) == 1
    relevant = [product_id for ids in ground_truth.values() for product_id in ids]
    assert len(relevant) == len(set(relevant))


def test_listings_of_an_item_differ_in_words_and_are_not_neighbours(
    catalogue: list[dict[str, str]], ground_truth: dict[str, list[str]]
) -> None:
    words = {row["id"]: row["description"].casefold() for row in catalogue}
    for ids in ground_truth.values():
        assert len({words[product_id] for product_id in ids}) == len(ids)
        rows = sorted(int(product_id[1:]) for product_id in ids)
        assert all(after - before > 1 for before, after in pairwise(rows))


def test_listings_and_queries_of_an_item_are_never_equal_pixel_by_pixel(sample: Path) -> None:
    pictures = [*(sample / "images").iterdir(), *(sample / "queries").iterdir()]
    seen = defaultdict(list)
    for path in pictures:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((32, 32))
        seen[np.asarray(small).tobytes()].append(path.name)
    assert [names for names in seen.values() if len(names) > 1] == []


def test_most_items_have_a_look_alike_of_another_brand_in_the_same_packaging() -> None:
    items = sample_items()
    similar = [item for item in items if lookalikes(item, items)]
    assert len(similar) > len(items) / 2
    for item in similar:
        other = lookalikes(item, items)[0]
        assert other.pack == item.pack
        assert other.brand.name != item.brand.name


def test_every_item_is_distinct_and_can_be_worded() -> None:
    items = sample_items()
    assert len({item.key for item in items}) == len(items)
    for item in items:
        assert item.kind in KINDS
        assert len(set(descriptions(item, 6, generator(SEED, item.key)))) == 6


def test_sizes_are_converted_to_the_ounces_that_packages_print() -> None:
    assert imperial("50 ml") == "1.7 fl oz"
    assert imperial("3.5 g") == "0.12 oz"


def test_same_seed_gives_byte_identical_files_in_any_process_and_order(
    sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "queries").mkdir()
    listings = sample_listings(sample_items(), SEED)
    for listing in reversed(listings[::25] + listings[41:42]):
        save_listing(tmp_path, listing, SEED)
    for row, item in enumerate(queried_items(sample_items(), SEED)[:5]):
        save_query(tmp_path / query_name(row), item, SEED)
    again, whole = digests(tmp_path), digests(sample)
    assert len(again) >= 17
    assert again == {name: whole[name] for name in again}


def test_tables_follow_from_the_seed_alone(catalogue: list[dict[str, str]]) -> None:
    listings = sample_listings(sample_items(), SEED)
    assert [listing.description for listing in listings] == [
        row["description"] for row in catalogue
    ]
    assert [listing.price for listing in listings] == [row["price"] for row in catalogue]
    assert sample_listings(sample_items(), SEED + 1) != listings


def test_second_run_with_the_same_seed_touches_nothing(sample: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}
    assert write_sample(sample, seed=SEED) == sample
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_complete_sample_of_another_seed_is_refused(sample: Path) -> None:
    with pytest.raises(FileExistsError, match=f"sample version 1 with seed {SEED}"):
        write_sample(sample, seed=SEED + 1)


def test_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"files that are not a sample.*another folder"):
        write_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        write_sample(tmp_path / "sample", on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []
