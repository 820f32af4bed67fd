"""The attention that is shown is the one that the exported model's descriptor used."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from export.cli import app
from export.models import pooling as pooling_module
from export.models.backbones import LoadedBackbone
from export.models.encoder import Encoder, build_encoder
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_backbone_configs,
    write_config,
)
from export.models.parity import near_threshold
from export.models.pooling import Regions, attention_mask, l2_normalise, rmac_levels
from export.models.probe_images import probe_images
from export.models.to_onnx import write_onnx
from export.pictures import attention as attention_module
from export.pictures.attention import Attention, AttentionModel, NoAttentionError, RegionLevel, pool
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
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import CatalogueError, ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from retrieval_server.models.profile import Backbone, Profile

SIDE = 64  # pixels; the map has 10 × 10 cells
POOLINGS = {  # by model name: pooling and p
    "printed": ("grmac", None),
    "sharper": ("grmac", 2.0),
    "released": ("grmac-released", None),
    "gem": ("gem", None),
}
WEIGHTS = {**dict.fromkeys(POOLINGS, "made for tests"), "sharper": "random (seed 3)"}
ATTENTIVE = [name for name in POOLINGS if name != "gem"]
PROFILE = Profile(
    name="looking",
    side=SIDE,
    backbones=tuple(
        Backbone(model=name, timm_name="made_for_tests", alpha=1.0, pooling=pooling, p=p)
        for name, (pooling, p) in POOLINGS.items()
    ),
)


def features() -> nn.Module:
    """A convolution, then a plain one that keeps some values negative, as DenseNet's map has."""
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 12, 7, stride=6), nn.GELU(), nn.Conv2d(12, 12, 1))
    return layers.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    loaded = LoadedBackbone(features(), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return {b.model: build_encoder(b, SIDE, loaded) for b in PROFILE.backbones}


@pytest.fixture(scope="module")
def repository(encoders: dict[str, Encoder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four models as the export writes them, and their ensemble."""
    root = tmp_path_factory.mktemp("model_repository")
    for backbone in PROFILE.backbones:
        folder = root / backbone.model
        (folder / "1").mkdir(parents=True)
        metadata = {
            "settings": json.dumps({"pooling": backbone.pooling}),
            "weights": WEIGHTS[backbone.model],
        }
        path = folder / "1" / "model.onnx"
        dimension = write_onnx(encoders[backbone.model], SIDE, path, metadata)
        write_backbone_configs(folder, backbone_config(backbone, SIDE, dimension))
    (root / PROFILE.name / "1").mkdir(parents=True)
    config = ensemble_config(PROFILE, dict.fromkeys(POOLINGS, dimension))
    write_config(root / PROFILE.name / "config.pbtxt", config)
    return root


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Objects on textures."""
    return probe_images(SIDE, 8, seed=5)


@pytest.fixture
def photos(images: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(images[:3]):
        Image.fromarray(image).resize((96, 64)).save(folder / f"p{number}.png")
    return folder


def digests(repository: Path) -> dict[str, str]:
    return {m.name: m.digest for m in ModelRepository(repository).ensemble(PROFILE.name)}


def looking(repository: Path, name: str) -> AttentionModel:
    return AttentionModel(ModelRepository(repository).model(name))


# The mask


@pytest.mark.parametrize("name", ATTENTIVE)
def test_the_mask_is_the_one_that_pytorch_s_pooling_computes(repository, encoders, images, name):
    encoder = encoders[name]
    maps = encoder.feature_map(torch.from_numpy(images))
    expected = attention_mask(maps, encoder.pooling.p)
    model = looking(repository, name)
    masks = np.stack([model.attention(image).mask for image in images])
    assert 0 < masks.sum() < masks.size
    decided = ~near_threshold(encoder, torch.from_numpy(images))  # not by rounding
    assert decided.sum() >= 6
    assert (masks == expected.bool().numpy()[:, 0])[decided].all()


@pytest.mark.parametrize("name", ATTENTIVE)
def test_pooling_with_the_mask_gives_the_engine_s_descriptor(repository, encoders, images, name):
    engine = EmbeddedEngine(repository, PROFILE.name, workers=1, threads_per_run=1)
    served = asyncio.run(engine.infer(PROFILE.name, images))[name]
    asyncio.run(engine.close())
    maps = encoders[name].feature_map(torch.from_numpy(images)).numpy()
    model = looking(repository, name)
    for image, feature_map, descriptor in zip(images, maps, served, strict=True):
        attention = model.attention(image)
        assert (attention.descriptor == descriptor).all()
        pooled = torch.from_numpy(pool(attention, feature_map))[None]
        assert l2_normalise(pooled)[0].numpy() == pytest.approx(descriptor, abs=1e-5)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_a_plain_image_in_which_no_cell_stands_out_is_explained_too(repository, name):
    plain = np.full((SIDE, SIDE, 3), 200, np.uint8)
    attention = looking(repository, name).attention(plain)  # rounding decides about its mask
    assert np.isfinite(attention.cell_weights).all()


@pytest.mark.parametrize("name", ATTENTIVE)
def test_regions_and_weights_are_those_of_equation_2(repository, encoders, images, name):
    maps = encoders[name].feature_map(torch.from_numpy(images))
    mask = attention_mask(maps, encoders[name].pooling.p)
    placed = rmac_levels(10)
    expected = [Regions(level).means(mask).numpy()[:, 0] for level in placed]
    model = looking(repository, name)
    decided = ~near_threshold(encoders[name], torch.from_numpy(images))  # not by rounding
    for number in np.flatnonzero(decided):
        levels = model.attention(images[number]).levels
        if name == "released":  # the whole map counts twice, small weights not at all
            assert (levels[0].side, levels[0].offsets) == (placed[0].side, placed[0].offsets)
            levels = levels[1:]
        assert [(level.side, level.offsets) for level in levels] == list(placed)
        for level, weights in zip(levels, expected, strict=True):
            theirs = weights[number]
            if name == "released":
                theirs = np.where(theirs > 1 / 3, theirs, 0)
            assert level.weights == pytest.approx(theirs, abs=1e-6)


def test_the_threshold_is_that_of_equation_1_by_hand(repository, encoders, images):
    for name, p in (("printed", 1.0), ("sharper", 2.0)):
        model = looking(repository, name)
        for image in images[:3]:
            maps = encoders[name].feature_map(torch.from_numpy(image[None])).double().numpy()[0]
            activation = sum(maps) / len(maps)
            low = activation.min()
            t = ((activation - low) ** p).mean() ** (1 / p) + low
            assert model.attention(image).threshold == pytest.approx(t, abs=1e-5)


def test_a_descriptor_that_the_mask_does_not_explain_is_not_shown(repository, images, tmp_path):
    damaged = shutil.copytree(repository, tmp_path / "repository")
    path = damaged / "printed" / "1" / "model.onnx"
    model = onnx.load(path)
    (stack,) = (n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 3)
    stack.input[:] = [stack.input[0]] * 3  # the smaller regions no longer count
    onnx.save(model, path)
    with pytest.raises(ModelRepositoryError, match=r"does not give its descriptor.*onnx"):
        looking(damaged, "printed").attention(images[0])


def test_a_graph_without_a_mask_is_refused_by_name(repository, tmp_path):
    damaged = shutil.copytree(repository, tmp_path / "repository")
    path = damaged / "gem" / "1" / "model.onnx"
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"settings": json.dumps({"pooling": "grmac"})})
    onnx.save(model, path)
    with pytest.raises(ModelRepositoryError, match=r"model\.onnx: no attention is found"):
        looking(damaged, "gem")


def test_a_pooling_without_attention_is_refused_by_name(repository, tiny_repository):
    with pytest.raises(NoAttentionError, match=r"gem has no attention mask: its pooling is gem"):
        looking(repository, "gem")
    with pytest.raises(NoAttentionError, match=r"tiny_a .* pooling is not known"):
        AttentionModel(ModelRepository(tiny_repository).model("tiny_a"))


def test_constants_are_those_of_the_pooling():
    for name in ("RELEASED_MIN_WEIGHT", "RELEASED_EPS"):
        assert getattr(attention_module, name) == getattr(pooling_module, name)


# The pictures


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
    random, gem, notes = warnings
    assert random == "sharper has random weights: what it looks at means nothing."
    assert "gem has no attention mask" in gem
    assert "notes.txt is no image" in notes


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
