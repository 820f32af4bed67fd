"""The rule of ``deploy/README.md`` for the disk of a version holds for versions that are built."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.listings import listings
from deploy.policies.sizing import version_bytes
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.text_photo import text_image
from tests.support.tiny_world import DIMENSIONS

PRODUCTS = 800
PACKS = (  # what is printed on some packs
    ("NUXE", "Huile Prodigieuse", "body oil", "100 ml"),
    ("Bioderma", "Sensibio H2O", "micellar water"),
    ("Caudalie",),
    ("Weleda", "Skin Food", "dry and rough skin", "75 ml", "with wild pansy"),
)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Listings as shops write them; the packs repeat."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for number, pack in enumerate(PACKS):
        text_image(*pack, size=(320, 320), height=24, left=12).save(folder / f"{number}.png")
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "image", "description", "brand", "price"))
        for row, text in enumerate(listings(PRODUCTS)):
            rows.writerow((f"p{row:07d}", f"{row % len(PACKS)}.png", text, text.split()[0], "9.99"))
    return folder


def test_a_version_takes_no_more_disk_than_the_rule_says(
    catalogue: Path,
    tiny_profile: Profile,
    reader_repository: Path,
    tmp_path: Path,
) -> None:
    build = IndexBuild(
        read_catalogue(catalogue),
        replace(tiny_profile, reader="ppocr"),
        EngineChoice(reader_repository),
        tmp_path / "index",
    )
    for reads_images in (False, True):
        version = replace(build, reads_images=reads_images).run().folder
        size = sum(path.stat().st_size for path in version.iterdir())
        rule = version_bytes(PRODUCTS, sum(DIMENSIONS.values()), reads_images=reads_images)
        assert rule / 3 < size <= rule
