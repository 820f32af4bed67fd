"""The attention mask is the one that the pooling uses, and anything else is refused."""

import asyncio
import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from export.models import pooling as pooling_module
from export.models.parity import near_threshold
from export.models.pooling import Regions, attention_mask, l2_normalise, rmac_levels
from export.pictures import attention as attention_module
from export.pictures.attention import AttentionModel, NoAttentionError, pool
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from tests.support.export.looking_models import ATTENTIVE, PROFILE, SIDE, looking


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
    engine = EmbeddedEngine(repository, PROFILE.name, workers=1, threads_per_image=1)
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
