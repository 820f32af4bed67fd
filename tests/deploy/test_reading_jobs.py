"""The jobs of ``cpu-dev`` with the setting that reads images, through a real Triton."""

import copy
import csv
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.policies.rendering import Manifests, manifests
from export.cli import main as export_main
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.deploy.kubelet import Place, run_job
from tests.support.deploy.place import command
from tests.support.index_files import index_files
from tests.support.local_triton import serving
from tests.support.text_photo import text_image

SETTING = "BEAUTY_EXPORT_READ_IMAGES"


@pytest.fixture
def reading() -> Manifests:
    """``cpu-dev`` with the one setting changed."""
    changed = copy.deepcopy(manifests("cpu-dev"))
    settings = changed.get("ConfigMap/index-build")["data"]
    assert settings[SETTING] == "false"
    settings[SETTING] = "true"
    return changed


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "image", "description"))
        for name in ("NUXE", "Weleda", "Bioderma"):
            text_image(name, size=(320, 160), height=28, left=12).save(folder / f"{name}.png")
            rows.writerow((name, f"{name}.png", "a thing"))
    return folder


def test_the_jobs_read_the_images_where_the_setting_says_so(
    local_triton_environment: None,
    reading: Manifests,
    catalogue: Path,
    tiny_profile: Profile,
    tiny_profile_file: Path,
    reader_repository: Path,
    tmp_path: Path,
) -> None:
    profile_file = tmp_path / "tiny.toml"
    lines = tiny_profile_file.read_text(encoding="utf-8")
    profile_file.write_text(f'reader = "ppocr"\n{lines}', encoding="utf-8")
    root = tmp_path / "index"
    root.mkdir()
    with serving(reader_repository, tmp_path / "triton") as triton:
        place = Place(
            programs={"beauty-export": command(export_main)},
            paths={
                "/models": reader_repository,
                "/index": root,
                "/catalogue/sample": catalogue,
                "/tmp": tmp_path,
            },
            ports={"triton": {8001: int(triton.addresses["grpc"].rpartition(":")[2])}},
            left_out=frozenset({"NUMBA_CACHE_DIR"}),
            of_the_images={"BEAUTY_EXPORT_PROFILE": str(profile_file)},
        )
        for shard in ("0", "1"):
            done = run_job(reading, "extract-descriptors", place, JOB_COMPLETION_INDEX=shard)
            assert done.returncode == 0, done.stderr
    done = run_job(reading, "merge-index", place)
    assert done.returncode == 0, done.stderr
    assert "words were read on 3 of 3 images" in done.stderr
    whole = IndexBuild(
        read_catalogue(catalogue),
        replace(tiny_profile, reader="ppocr"),
        EngineChoice(reader_repository),
        tmp_path / "whole",
        reads_images=True,
    ).run()
    assert index_files(root) == index_files(whole.folder)
