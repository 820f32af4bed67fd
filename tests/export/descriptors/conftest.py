"""Catalogues that are described in shards."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from tests.support.export.shard_job import PRODUCTS, UNREADABLE, WHITE, Job


@pytest.fixture(scope="module")
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue with unreadable and with white images; read-only."""
    folder = catalogue_folder(families=PRODUCTS // 5)
    rows = {row.product_id: row for row in read_catalogue(folder).rows}
    assert len(rows) == PRODUCTS
    for product_id in UNREADABLE:
        (folder / rows[product_id].image).write_bytes(b"no image")
    for product_id in WHITE:
        Image.new("RGB", (40, 40), "white").save(folder / rows[product_id].image)
    return folder


@pytest.fixture(scope="module")
def unsharded(
    catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Its index, built in one go."""
    root = tmp_path_factory.mktemp("unsharded")
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root).run()
    return open_index(root).folder


@pytest.fixture
def job(catalogue: Path, tiny_profile: Profile, tiny_repository: Path, tmp_path: Path) -> Job:
    return Job(catalogue, tiny_profile, tiny_repository, tmp_path / "shards")


@pytest.fixture
def small(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
) -> Job:
    """Six products, to change."""
    folder = catalogue_folder(families=2, members=3)
    return Job(folder, tiny_profile, tiny_repository, tmp_path / "shards")
