"""Parity of the exported graphs with PyTorch: every backbone, every pooling, odd images.

``paper`` runs on seeded weights, ``lite`` on its real ones. One hazard is known: where rounding
decides about a cell of the attention mask, a whole region's weight moves. So images near the
threshold are held to a looser bound, the pooling is compared on given maps as well, and most
images must be away from the threshold.
"""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from export.models.backbones import WeightsChoice, load_backbone
from export.models.encoder import build_encoder
from export.models.parity import (
    HAZARD_MARGIN,
    HAZARD_MIN_COSINE,
    PARITY_MAX_DIFFERENCE,
    PARITY_MIN_COSINE,
)
from export.models.pooling import POOLINGS, build_pooling, l2_normalise, threshold_margin
from export.models.probe_images import probe_images
from export.models.profiles import LITE, PAPER
from export.models.to_onnx import MAX_IR_VERSION, OPSET, write_onnx
from retrieval_server.models.preprocessing import decode_image
from tests.support.paths import ROOT

BACKBONES = [
    pytest.param((profile, backbone), id=backbone.model)
    for profile in (LITE, PAPER)
    for backbone in profile.backbones
]


class EveryPooling(nn.Module):
    """One graph with all the poolings side by side, (B, P · C), so that one export shows them."""

    def __init__(self, encoder, cells):
        super().__init__()
        self.encoder = encoder
        self.poolings = nn.ModuleList([build_pooling(name, cells) for name in POOLINGS])

    def forward(self, images):
        return self.describe(self.encoder.feature_map(images))

    def describe(self, feature_map):
        return torch.cat([l2_normalise(pool(feature_map)) for pool in self.poolings], dim=1)


def odd_images(side):
    """What real folders hold, through the real decoder: (8, side, side, 3) uint8."""
    rng = np.random.default_rng(11)
    photo = Image.fromarray(probe_images(400, 1, seed=12)[0])
    grey16 = Image.fromarray((rng.random((90, 130)) * 65_535).astype(np.uint16))
    alpha = photo.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(photo.size))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    cases = [
        (Image.new("RGB", (300, 200), "white"), "PNG", {}),
        (Image.new("RGB", (64, 64), "black"), "PNG", {}),
        (Image.new("RGB", (50, 500), (200, 30, 90)), "PNG", {}),
        (Image.fromarray(rng.integers(0, 256, (2, 3, 3), np.uint8)), "PNG", {}),
        (photo.crop((0, 0, 400, 120)).convert("CMYK"), "JPEG", {}),
        (grey16, "PNG", {}),
        (alpha, "PNG", {}),
        (photo.crop((0, 0, 300, 400)), "JPEG", {"exif": rotated}),
    ]
    pixels = []
    for image, kind, options in cases:
        encoded = io.BytesIO()
        image.save(encoded, kind, **options)
        pixels.append(decode_image(encoded.getvalue(), side))
    return np.stack(pixels)


@pytest.fixture(scope="module", params=BACKBONES)
def exported(request, tmp_path_factory):
    """A backbone with every pooling: (profile, backbone, module, ONNX file, C)."""
    profile, backbone = request.param
    choice = WeightsChoice(random_seed=0) if profile is PAPER else WeightsChoice()
    encoder = build_encoder(backbone, profile.side, load_backbone(backbone, choice))
    with torch.no_grad():
        cells, channels = encoder.feature_map(
            torch.zeros(1, profile.side, profile.side, 3, dtype=torch.uint8)
        ).shape[2:0:-1]
    module = EveryPooling(encoder, cells).eval()
    path = tmp_path_factory.mktemp(backbone.model) / "model.onnx"
    assert write_onnx(module, profile.side, path, {}) == channels * len(POOLINGS)
    return profile, backbone, module, path, channels


@pytest.fixture(scope="module")
def images(exported):
    """Textures with objects, then odd images: (16, S, S, 3) uint8."""
    side = exported[0].side
    return np.concatenate([probe_images(side, 8, seed=3), odd_images(side)])


@pytest.fixture(scope="module")
def expected(exported, images):
    """PyTorch's descriptors (B, P, C), and which images are near the attention threshold."""
    _, _, module, _, channels = exported
    with torch.no_grad():
        maps = torch.cat([module.encoder.feature_map(b) for b in torch.from_numpy(images).split(4)])
        descriptors = module.describe(maps).numpy().reshape(len(images), len(POOLINGS), channels)
        return descriptors, threshold_margin(maps.double()).numpy() <= HAZARD_MARGIN


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def actual(exported, images):
    """onnxruntime's descriptors (B, P, C) by batch size."""
    _, _, _, path, channels = exported
    model = session(path)
    described = {}
    for size in (1, 3, 8):
        batches = [images[i : i + size] for i in range(0, len(images), size)]
        rows = np.concatenate([model.run(None, {"image": batch})[0] for batch in batches])
        described[size] = rows.reshape(len(images), len(POOLINGS), channels)
    return described


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_the_graph_computes_pytorch_s_descriptors(expected, actual, batch_size):
    descriptors, near_threshold = expected

    assert near_threshold.sum() <= 4
    for index, name in enumerate(POOLINGS):
        hazard = near_threshold & name.startswith("grmac")
        theirs, ours = descriptors[:, index].astype(np.float64), actual[batch_size][:, index]
        lengths = np.linalg.norm(theirs, axis=1)
        assert lengths == pytest.approx(np.where(lengths > 0.5, 1, 0), abs=1e-6)
        cosines = np.where(lengths > 0.5, (theirs * ours).sum(axis=1), 1 - np.abs(ours).max(axis=1))
        assert (cosines >= np.where(hazard, HAZARD_MIN_COSINE, PARITY_MIN_COSINE)).all(), name
        differences = np.abs(theirs - ours).max(axis=1)
        assert (differences[~hazard] <= PARITY_MAX_DIFFERENCE).all(), name


def test_a_batch_gives_what_its_images_give_alone(actual):
    assert np.abs(actual[8] - actual[1]).max() <= 1e-6
    assert np.abs(actual[3] - actual[1]).max() <= 1e-6


def test_older_tritons_can_load_the_file(exported):
    profile, _, _, path, channels = exported
    model = onnx.load(path, load_external_data=False)

    assert model.ir_version <= MAX_IR_VERSION
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert list(path.parent.iterdir()) == [path]  # the weights are inside
    assert len(path.read_bytes()) > 10_000_000
    (image,), (descriptor, fingerprint) = session(path).get_inputs(), session(path).get_outputs()
    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert image.shape[1:] == [profile.side, profile.side, 3]
    assert isinstance(image.shape[0], str)  # the batch is free
    assert descriptor.shape[1:] == [channels * len(POOLINGS)]
    assert (fingerprint.name, fingerprint.type) == ("fingerprint", "tensor(int32)")
    assert fingerprint.shape == [descriptor.shape[0], 8]


def test_the_file_does_not_tell_where_it_was_made(exported):
    content = exported[3].read_bytes()

    assert b"site-packages" not in content
    assert str(ROOT).encode() not in content


@pytest.mark.parametrize("name", POOLINGS)
def test_the_pooling_alone_agrees_on_given_maps(name, tmp_path):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.pooling = build_pooling(name, 10)

        def forward(self, maps):
            return l2_normalise(self.pooling(maps))

    rng = np.random.default_rng(6)
    maps = rng.normal(0.5, 1, (8, 16, 10, 10)).astype(np.float32)
    maps[1] = 0  # nothing
    maps[2] = 1.5  # flat
    maps[3] = -np.abs(maps[3])  # a DenseNet's map is not rectified
    maps[4] = np.rint(maps[4])  # ties
    maps[5] *= 1e4
    maps[6] *= 1e-3
    maps[7] = 0
    maps[7, 3, 4, 5] = 1  # a single active cell
    path = tmp_path / "pooling.onnx"
    module = Pooled().eval()
    torch.onnx.export(
        module,
        (torch.from_numpy(maps[:2]),),
        path,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["maps"],
        dynamic_shapes={"maps": {0: torch.export.Dim("batch", min=1, max=64)}},
        external_data=False,
    )

    actual = session(path).run(None, {"maps": maps})[0]

    expected = module(torch.from_numpy(maps)).numpy()
    assert np.isfinite(actual).all()
    assert np.abs(actual - expected).max() <= 1e-6
