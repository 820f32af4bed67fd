"""A catalogue described in shards gives the index that one run gives."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.dataset.catalogue import Catalogue, CatalogueRow
from export.descriptors.shards import Shard, shard_number, shard_numbers
from tests.support.export.shard_job import UNREADABLE, WHITE, Job, files

NUMBERS = (1, 2, 3, 7)


def catalogue_of(*ids: str) -> Catalogue:
    rows = tuple(CatalogueRow(product_id, f"{product_id}.png", "", {}) for product_id in ids)
    return Catalogue(Path("catalog.csv"), rows, ())


# Which product goes where


@pytest.mark.parametrize(
    ("product_id", "first_64_bits"),  # printf p0000 | sha256sum | cut -c1-16
    [("p0000", 0xA4D5E07E23B14FEF), ("p0101", 0x2312C296CBE88CAC), ("é", 0x4A99557E4033C353)],
)
def test_a_product_s_shard_is_its_sha256_modulo_their_number(
    product_id: str, first_64_bits: int
) -> None:
    for count in (1, 2, 3, 7, 1000):
        assert shard_number(product_id, count) == first_64_bits % count


@pytest.mark.parametrize("count", NUMBERS)
def test_every_product_is_in_one_shard_whatever_its_place_and_its_neighbours(count: int) -> None:
    ids = [f"p{number}" for number in range(300)]
    shards = [Shard(number, count).part(catalogue_of(*ids)) for number in range(count)]
    assert sorted(row.product_id for part in shards for row in part.rows) == sorted(ids)
    order = np.random.default_rng(0).permutation(300)[:200]
    some = [ids[place] for place in order]
    expected = shard_numbers(catalogue_of(*ids), count)[order]
    assert shard_numbers(catalogue_of(*some), count).tolist() == expected.tolist()
    sizes = [len(part.rows) for part in shards]
    assert max(sizes) < 1.6 * 300 / count


# Merged shards are the index of one run


@pytest.mark.parametrize("count", NUMBERS)
def test_merged_shards_are_the_index_of_one_run_to_the_last_byte(
    job: Job, unsharded: Path, tmp_path: Path, count: int
) -> None:
    job.extract_all(count)
    merged = job.merge(tmp_path / "index")
    assert merged.folder.name == unsharded.name
    assert files(merged.folder) == files(unsharded)
    assert merged.manifest is not None
    assert merged.manifest.rejected == len(UNREADABLE)
    assert merged.manifest.models["tiny_a"].zero_descriptors == len(WHITE)
    rejects = (merged.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["product_id"] for line in rejects] == list(UNREADABLE)


def test_merged_half_precision_is_that_of_one_run(job: Job, tmp_path: Path) -> None:
    job.extract_all(3)
    merged = job.merge(tmp_path / "merged", half_precision=True)
    whole = job.merge(tmp_path / "whole", half_precision=True, from_shards=None)
    assert merged.folder.name == whole.folder.name
    assert files(merged.folder) == files(whole.folder)


def test_the_merge_needs_the_catalogue_s_file_but_no_image(
    job: Job, unsharded: Path, tmp_path: Path
) -> None:
    job.extract_all(2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(job.catalogue / "catalog.csv", elsewhere)
    job.catalogue = elsewhere
    assert files(job.merge(tmp_path / "index").folder) == files(unsharded)


def test_a_catalogue_in_another_order_is_merged_in_that_order(job: Job, tmp_path: Path) -> None:
    job.extract_all(3)
    mixed = shutil.copytree(job.catalogue, tmp_path / "mixed")
    with (mixed / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(1).permutation(len(rows))
    with (mixed / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(rows[place] for place in order)])
    job.catalogue = mixed
    merged = job.merge(tmp_path / "merged").folder
    assert files(merged) == files(job.merge(tmp_path / "whole", from_shards=None).folder)


def test_more_shards_than_products_leave_some_empty(small: Job, tmp_path: Path) -> None:
    small.extract_all(11)
    merged = small.merge(tmp_path / "merged").folder
    assert files(merged) == files(small.merge(tmp_path / "whole", from_shards=None).folder)
    assert not small.extract(0, 11)[1]


def test_a_second_merge_has_nothing_to_do_until_a_description_or_a_shard_changes(
    small: Job, tmp_path: Path
) -> None:
    small.extract_all(2)
    first = small.merge(tmp_path / "index")
    assert first.manifest is not None
    assert small.merge(tmp_path / "index").manifest is None
    file = small.catalogue / "catalog.csv"
    file.write_text(file.read_text("utf-8").replace("Ruby", "Coral", 1), "utf-8")
    assert small.merge(tmp_path / "index").manifest is not None
    Image.new("RGB", (50, 60), "black").save(small.catalogue / "images" / "p0000.png")
    small.extract_all(2)
    third = small.merge(tmp_path / "index")
    assert third.manifest is not None
    assert files(third.folder) == files(small.merge(tmp_path / "whole", from_shards=None).folder)
