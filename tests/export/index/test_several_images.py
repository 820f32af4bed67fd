"""An index of products with several images: each image is a row, however the catalogue names it."""

import json
from pathlib import Path

import pytest

from export.commands.index_summary import index_summary
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import IndexLossError
from retrieval_server.index.bundle import REJECTS_FILE, IndexBundle
from retrieval_server.models.profile import Profile
from tests.support.export.index_builds import Build, files
from tests.support.export.shard_job import Job

IMAGES = {
    "cream": ["images/p0000.png", "images/none.png", "images/p0001.jpg"],
    "soap": ["images/p0100.png", "images/p0101.jpg"],
}
NAMED = {"cream": "images/p0000.png", "cream#3": "images/p0001.jpg"} | {
    "soap": "images/p0100.png",
    "soap#2": "images/p0101.jpg",
}


def write_lists(catalogue: Path, images: dict[str, list[str]]) -> None:
    """A catalogue with a row for each product."""
    rows = [
        {"id": name, "images": paths, "description": f"mild {name}"}
        for name, paths in images.items()
    ]
    (catalogue / "catalog.csv").unlink(missing_ok=True)
    (catalogue / "catalog.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")


@pytest.fixture
def listed(changed: Path) -> Path:
    write_lists(changed, IMAGES)
    return changed


def test_each_image_that_can_be_read_is_a_row_and_the_others_are_named(
    listed: Path, tmp_path: Path, build: Build
) -> None:
    built = build(listed, tmp_path)
    bundle = IndexBundle(built.folder)
    products = [bundle.product(row) for row in range(len(bundle))]
    assert {product.product_id: product.image for product in products} == NAMED
    assert [product.attributes[PRODUCT_COLUMN] for product in products] == [
        *("cream", "cream"),
        *("soap", "soap"),
    ]
    (reject,) = (bundle.folder / REJECTS_FILE).read_text("utf-8").splitlines()
    assert json.loads(reject)["product_id"] == "cream#2"
    said, *_ = (message.text for message in index_summary(built))
    assert "4 images of 2 products, 4 descriptions" in said


def test_a_row_for_each_image_gives_the_same_index_byte_for_byte(
    listed: Path, tmp_path: Path, build: Build
) -> None:
    by_list = build(listed, tmp_path / "lists").folder
    (listed / "catalog.jsonl").unlink()
    rows = [f"{path},mild {name},{name}" for name, paths in IMAGES.items() for path in paths]
    (listed / "catalog.csv").write_text("\n".join(["image,description,product", *rows]))
    by_row = build(listed, tmp_path / "rows").folder
    assert by_list.name == by_row.name
    assert files(by_list) == files(by_row)


def test_shards_divide_the_images_of_a_product_and_give_the_same_index(
    listed: Path, tmp_path: Path, build: Build, tiny_profile: Profile, tiny_repository: Path
) -> None:
    whole = build(listed, tmp_path / "whole").folder
    job = Job(listed, tiny_profile, tiny_repository, tmp_path / "shards")
    job.extract_all(2)
    assert files(job.merge(tmp_path / "merged").folder) == files(whole)


def test_an_image_that_moves_up_is_not_described_again(
    listed: Path, tmp_path: Path, build: Build, described: list[int]
) -> None:
    build(listed, tmp_path)
    described.clear()
    write_lists(listed, {**IMAGES, "cream": IMAGES["cream"][2:]})
    built = build(listed, tmp_path, max_loss=1.0)
    assert sum(described) == 1  # the reference image
    bundle = IndexBundle(built.folder)
    assert bundle.product(0).product_id == "cream"
    assert bundle.product(0).image == "images/p0001.jpg"


def test_products_that_lose_most_of_their_images_are_a_loss(
    listed: Path, tmp_path: Path, build: Build
) -> None:
    build(listed, tmp_path)
    write_lists(listed, {name: paths[:1] for name, paths in IMAGES.items()})
    with pytest.raises(
        IndexLossError, match=r"2 of 4 products are missing .* the first: 'cream#3'"
    ):
        build(listed, tmp_path)
