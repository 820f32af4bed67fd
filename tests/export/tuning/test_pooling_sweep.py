"""The sweep over poolings: what it computes, what it keeps, and what it takes up again."""

import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

import export.tuning.pooling_sweep
from export.dataset.catalogue import read_catalogue
from export.descriptors import engine_choice
from export.models.backbones import WeightsChoice, load_backbone, weights_digest
from export.models.build_model_repository import export_profile
from export.models.pooling_choice import PoolingChoice
from export.output.folder import lock_folder
from export.tuning.pooling_sweep import PoolingSweep
from export.tuning.sweep_encoder import white_out
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import EngineError, ProfileError, RetrievalError
from retrieval_server.models.preprocessing import read_image
from tests.support.export.small_networks import SMALL, WEIGHTS

BACKBONE = SMALL.backbones[1]
GRMAC, GEM, MAC = PoolingChoice("grmac", 1.0), PoolingChoice("gem", 3.0), PoolingChoice("mac")


@pytest.fixture
def catalogue(tiny_catalogue, tmp_path):
    return read_catalogue(shutil.copytree(tiny_catalogue, tmp_path / "catalogue"))


@pytest.fixture
def runs(monkeypatch):
    """Counts the images that the models were asked about."""
    counted = []

    def opened(*arguments, **options):
        engine = create_engine(*arguments, **options)
        infer = engine.infer

        async def counting(ensemble, images, timeout_s=None):
            counted.append(len(images))
            return await infer(ensemble, images, timeout_s)

        engine.infer = counting
        return engine

    monkeypatch.setattr(engine_choice, "create_engine", opened)
    return counted


def described(cache, catalogue, *poolings, weights=WEIGHTS[BACKBONE.model], backbone=BACKBONE):
    done = []
    sweep = PoolingSweep(cache, {backbone.model: weights})
    (images,) = sweep.describe((catalogue,), backbone, 64, poolings, done.append)
    assert sum(done) == len(catalogue.rows)
    return images


def test_a_sweep_gives_what_the_exported_models_give(catalogue, tmp_path):
    swept = described(tmp_path / "cache", catalogue, GRMAC, GEM)
    pixels = np.stack([read_image(catalogue.image_path(row), 64) for row in catalogue.rows])

    for pooling in (GRMAC, GEM):
        profile = type(SMALL)(name="one", side=64, backbones=(pooling.apply(BACKBONE),))
        repository = tmp_path / pooling.label
        choice = {BACKBONE.model: WEIGHTS[BACKBONE.model]}
        export_profile(profile, repository, choice)
        session = onnxruntime.InferenceSession(repository / BACKBONE.model / "1" / "model.onnx")
        expected = np.concatenate([session.run(None, {"image": p[None]})[0] for p in pixels])
        assert swept.descriptors[pooling] == pytest.approx(expected, abs=1e-6)
    assert swept.rows.tolist() == list(range(len(pixels)))


def test_nothing_is_described_twice(catalogue, runs, tmp_path):
    first = described(tmp_path / "cache", catalogue, GRMAC, GEM)
    assert sum(runs) == len(catalogue.rows)

    renamed = replace(BACKBONE, model="other_name", pooling="spoc")
    again = described(tmp_path / "cache", catalogue, GEM, backbone=renamed)
    assert sum(runs) == len(catalogue.rows)
    wider = described(tmp_path / "cache", catalogue, GRMAC, GEM, MAC)

    assert sum(runs) == 2 * len(catalogue.rows)  # one more pass, for the one that was missing
    assert again.descriptors[GEM].tobytes() == first.descriptors[GEM].tobytes()
    assert set(wider.descriptors) == {GRMAC, GEM, MAC}
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.name.endswith(".sweep")] == []


def test_other_images_or_weights_are_described_anew(catalogue, runs, tmp_path):
    first = described(tmp_path / "cache", catalogue, MAC)
    other = WeightsChoice(random_seed=8)

    shutil.copy(catalogue.image_path(catalogue.rows[7]), catalogue.image_path(catalogue.rows[1]))
    changed = described(tmp_path / "cache", catalogue, MAC)
    described(tmp_path / "cache", catalogue, MAC, weights=other)

    assert sum(runs) == 3 * len(catalogue.rows)
    assert not np.array_equal(first.descriptors[MAC][1], changed.descriptors[MAC][1])
    assert np.array_equal(changed.descriptors[MAC][1], changed.descriptors[MAC][7])


def test_an_interrupted_sweep_is_taken_up_at_its_last_finished_block(
    catalogue, runs, tmp_path, monkeypatch
):
    monkeypatch.setattr("export.descriptors.extract_features.BLOCK_ROWS", 8)
    monkeypatch.setattr("export.descriptors.extract_features.BLOCKS_AT_ONCE", 1)
    whole = described(tmp_path / "whole", catalogue, MAC)
    runs.clear()
    exports = []
    write_onnx = export.tuning.pooling_sweep.write_onnx
    monkeypatch.setattr(
        export.tuning.pooling_sweep, "write_onnx", lambda *a: exports.append(1) or write_onnx(*a)
    )
    read = export.descriptors.extract_features.read_bytes

    def broken(path):
        if path.name.startswith("p03"):
            raise EngineError("the power went out")
        return read(path)

    monkeypatch.setattr("export.descriptors.extract_features.read_bytes", broken)
    with pytest.raises(EngineError, match="power"):
        described(tmp_path / "cache", catalogue, MAC)
    assert not list((tmp_path / "cache").rglob("descriptors.*"))
    monkeypatch.setattr("export.descriptors.extract_features.read_bytes", read)
    before = sum(runs)
    resumed = described(tmp_path / "cache", catalogue, MAC)

    assert 8 <= before < 24
    assert sum(runs) - before == len(catalogue.rows) - 8  # p00 to p01 filled the first block
    assert len(exports) == 1
    assert resumed.descriptors[MAC].tobytes() == whole.descriptors[MAC].tobytes()


def test_unreadable_images_are_left_out(catalogue, tmp_path):
    catalogue.image_path(catalogue.rows[2]).write_bytes(b"no image")

    swept = described(tmp_path / "cache", catalogue, MAC)

    assert 2 not in swept.rows
    assert len(swept.descriptors[MAC]) == len(swept.rows) == len(catalogue.rows) - 1


def test_a_model_that_computes_no_unit_vectors_is_refused(catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr("export.tuning.sweep_encoder.l2_normalise", lambda vectors: vectors)

    with pytest.raises(EngineError, match="small_b_grmac gave a descriptor whose L2 norm"):
        described(tmp_path / "cache", catalogue, MAC)


def test_two_runs_do_not_share_a_cache(catalogue, tmp_path):
    with (
        lock_folder(tmp_path, "Wait."),
        pytest.raises(RetrievalError, match=r"at work in .* choose another --cache"),
    ):
        described(tmp_path, catalogue, MAC)


def test_white_out_paints_what_the_mask_leaves_out():
    images = torch.arange(2 * 4 * 4 * 3, dtype=torch.uint8).reshape(2, 4, 4, 3)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])

    painted = white_out(images, mask)

    assert torch.equal(painted[0, :2, :2], images[0, :2, :2])  # one cell is two by two pixels
    assert (painted[0, 2:] == 255).all()
    assert (painted[0, :, 2:] == 255).all()
    assert torch.equal(painted[1], images[1])  # an empty mask leaves nothing out


def test_a_whitened_query_is_the_description_of_the_painted_image(catalogue, tmp_path):
    sweep = PoolingSweep(tmp_path / "cache", WEIGHTS)
    (found,) = sweep.describe((catalogue,), BACKBONE, 96, (GEM,), lambda _: None, white_out_p=1.0)
    loaded = load_backbone(BACKBONE, WEIGHTS[BACKBONE.model])
    pixels = np.stack([read_image(catalogue.image_path(row), 96) for row in catalogue.rows[:3]])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (loaded.mean, loaded.std))

    def feature_map(images):
        return loaded.features((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)

    with torch.no_grad():
        activation = feature_map(pixels).mean(dim=1).numpy()  # (3, 3, 3)
    off = activation <= activation.mean(axis=(1, 2), keepdims=True)  # eq. (1), p = 1
    assert off.any(axis=(1, 2)).all()
    pixels[off.repeat(32, axis=1).repeat(32, axis=2)] = 255
    with torch.no_grad():
        pooled = feature_map(pixels).clamp_min(1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3).numpy()
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    assert found.descriptors[GEM][:3] == pytest.approx(expected, abs=1e-5)


def test_the_digest_of_weights_is_of_their_content():
    one, same = (load_backbone(BACKBONE, WEIGHTS[BACKBONE.model]) for _ in range(2))
    assert weights_digest(one) == weights_digest(same)

    next(iter(same.features.parameters())).data.view(-1)[0] += 1e-3

    assert weights_digest(one) != weights_digest(same)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gemm", "Unknown pooling 'gemm'. Choose one of: grmac, "),
        ("gem:x", "Pooling 'gem:x' must be NAME or NAME:P"),
        ("gem:0", "p must be positive, got 0"),
        ("mac:2", "'mac:2': mac has no exponent"),
    ],
)
def test_a_pooling_that_cannot_be_is_refused(text, message):
    with pytest.raises(ProfileError, match=message):
        PoolingChoice.parse(text)


def test_a_pooling_is_written_with_its_exponent():
    assert PoolingChoice.parse("gem") == PoolingChoice("gem", 3.0)
    assert PoolingChoice.parse("gem:2.5").label == "gem-p2.5"
    assert PoolingChoice.of(BACKBONE).label == "grmac-p1"
    assert PoolingChoice("gem", 3.0).apply(BACKBONE).p is None  # the default stays unsaid
    assert PoolingChoice("gem", 4.0).apply(BACKBONE).p == 4.0
    assert (GRMAC.mask_p, GEM.mask_p, PoolingChoice("grmac", 2.0).mask_p) == (1.0, 1.0, 2.0)


def test_the_images_of_several_catalogues_go_through_one_graph(catalogue, tmp_path, monkeypatch):
    exports = []
    write_onnx = export.tuning.pooling_sweep.write_onnx
    monkeypatch.setattr(
        export.tuning.pooling_sweep, "write_onnx", lambda *a: exports.append(1) or write_onnx(*a)
    )
    fewer = replace(catalogue, rows=catalogue.rows[5:9])

    every, some = PoolingSweep(tmp_path / "cache", WEIGHTS).describe(
        (catalogue, fewer), BACKBONE, 64, (MAC,), lambda _: None
    )

    assert len(exports) == 1
    assert np.array_equal(every.descriptors[MAC][5:9], some.descriptors[MAC])
