"""The pictures of the attention: on a page of their own, and on the contact sheet."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from export.cli import app
from export.pictures.attention import Attention, NoAttentionError, RegionLevel
from export.pictures.attention_page import write_attention_page
from export.pictures.attention_view import (
    DIMMED,
    EDGE,
    EDGE_PIXELS,
    AttentionViewer,
    attention_view,
    pixels_of_cells,
)
from export.pictures.contact_sheet import write_contact_sheet
from retrieval_server.errors import CatalogueError, ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from tests.support.export.looking_models import ATTENTIVE, PROFILE, SIDE, looking


@pytest.fixture
def photos(images: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(images[:3]):
        Image.fromarray(image).resize((96, 64)).save(folder / f"p{number}.png")
    return folder


def digests(repository: Path) -> dict[str, str]:
    return {m.name: m.digest for m in ModelRepository(repository).ensemble(PROFILE.name)}


def test_a_cell_weighs_what_the_regions_around_it_weigh_together():
    levels = (
        RegionLevel(3, (0,), np.array([[0.5]], np.float32)),
        RegionLevel(2, (0, 1), np.array([[0.25, 0], [0, 1]], np.float32)),
    )
    attention = Attention("m", "grmac", np.ones((3, 3), bool), 0.1, levels, np.ones(1, np.float32))
    assert attention.cell_weights.tolist() == [
        [0.75, 0.75, 0.5],
        [0.75, 1.75, 1.5],
        [0.5, 1.5, 1.5],
    ]


def test_every_pixel_belongs_to_the_cell_it_lies_in():
    cells = np.arange(9).reshape(3, 3)
    assert pixels_of_cells(cells, 6).tolist() == np.kron(cells, np.ones((2, 2))).tolist()
    assert pixels_of_cells(cells, 4)[0].tolist() == [0, 0, 1, 2]


def test_the_photo_is_dim_outside_the_mask_and_as_it_was_inside(repository, images):
    view = attention_view(looking(repository, "printed"), images[0])
    shown = np.asarray(view.mask_picture).astype(int)
    inside = pixels_of_cells(view.attention.mask, SIDE)
    edge = (shown == EDGE).all(axis=2)
    assert edge.any()
    assert not (edge & ~inside).any()
    rest = inside & ~edge
    assert (shown[rest] == images[0][rest]).all()
    assert shown[~inside] == pytest.approx(images[0][~inside] * DIMMED, abs=0.51)
    near = np.pad(inside, EDGE_PIXELS)[2 * EDGE_PIXELS :, EDGE_PIXELS:-EDGE_PIXELS]
    assert edge[inside & ~near].all()  # cells of the mask above others have an edge below


def test_a_page_and_pictures_show_every_photo_and_model(repository, photos, tmp_path):
    warnings: list[str] = []
    (photos / "notes.txt").write_text("no image")
    (photos / "broken.jpg").write_text("no image")
    page, pictures = tmp_path / "made" / "page.html", tmp_path / "png"
    count = write_attention_page(
        [photos], PROFILE.name, repository, page, pictures=pictures, on_warning=warnings.append
    )
    text = page.read_text(encoding="utf-8")
    assert count == text.count("<section>") == 3
    assert text.count("<figure class=view>") == 3 * len(ATTENTIVE)
    assert not re.search(r"<script|https?://|url\(", text)
    image = read_image(photos / "p1.png", SIDE)
    mask = looking(repository, "sharper").attention(image).mask
    assert f"sharper: {mask.sum()} of 100 cells above t = " in text
    assert sorted(path.name for path in pictures.iterdir()) == [
        "0001-p0.png",
        "0002-p1.png",
        "0003-p2.png",
    ]
    with Image.open(pictures / "0001-p0.png") as picture:
        assert picture.height > len(ATTENTIVE) * 320
    notes, random, gem, broken = warnings
    assert random == "sharper has random weights: what it looks at means nothing."
    assert "gem has no attention mask" in gem
    assert f"1 left out of {photos}: notes.txt" in notes
    assert broken.startswith(f"{photos / 'broken.jpg'} ")
    assert broken.endswith("It is left out.")


def test_nothing_to_look_at_is_an_error_that_leaves_no_page(repository, tmp_path):
    (tmp_path / "empty").mkdir()
    page = tmp_path / "page.html"
    for photos, reason in (("empty", "No image that can be read"), ("none", "There is no photo")):
        with pytest.raises(CatalogueError, match=reason):
            write_attention_page([tmp_path / photos], PROFILE.name, repository, page)
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


def test_results_of_another_model_are_not_explained_by_this_one(repository, photos):
    viewer = AttentionViewer(repository)
    with pytest.raises(ModelRepositoryError, match=r"come from another printed .*was served"):
        viewer.views(photos / "p0.png", {"printed": "ab" * 32})
    with pytest.raises(NoAttentionError):
        viewer.views(photos / "p0.png", {})


def test_a_contact_sheet_shows_what_the_models_looked_at(repository, photos, tmp_path):
    results = tmp_path / "results.jsonl"
    models = [{"name": name, "digest": digest} for name, digest in digests(repository).items()]
    record = {"query": str(photos / "p0.png"), "initial_results": [], "results": []}
    results.write_text(json.dumps({**record, "models": models}) + "\n")
    page, pictures = tmp_path / "sheet.html", tmp_path / "png"
    warnings: list[str] = []
    write_contact_sheet(
        results,
        photos,
        page,
        pictures=pictures,
        model_repository=repository,
        on_warning=warnings.append,
    )
    assert page.read_text(encoding="utf-8").count("<figure class=view>") == len(ATTENTIVE)
    assert len(warnings) == 2
    with Image.open(pictures / "0001-p0.png") as picture:
        assert picture.height > (1 + len(ATTENTIVE)) * 240
    results.write_text(json.dumps(record) + "\n")
    with pytest.raises(NoAttentionError, match="do not name them"):
        write_contact_sheet(results, photos, page, model_repository=repository)


def test_the_commands_say_what_they_wrote(repository, photos, tmp_path):
    profile = tmp_path / "looking.toml"
    lines = [f'name = "{PROFILE.name}"', f"side = {SIDE}"]
    for backbone in PROFILE.backbones:
        lines += ["[[backbones]]", f'model = "{backbone.model}"', 'timm_name = "x"', "alpha = 1.0"]
    profile.write_text("\n".join(lines))
    page, pictures = tmp_path / "page.html", tmp_path / "png"
    models = ["--model-repository", str(repository)]
    outputs = ["--output", str(page), "--png", str(pictures)]
    arguments = ["attention", str(photos), "--profile", str(profile), *models, *outputs]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    said = [f"attention of 3 photos: {page}", f"pictures: {pictures}"]
    assert done.stderr.splitlines()[-2:] == said
