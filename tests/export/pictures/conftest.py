"""A search result, and a repository of small models with an attention mask."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.models.backbones import LoadedBackbone
from export.models.encoder import Encoder, build_encoder
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_config,
    write_model_configs,
)
from export.models.probe_images import probe_images
from export.models.to_onnx import write_onnx
from tests.support.export.looking_models import POOLINGS, PROFILE, SIDE
from tests.support.export.search_results import match


@pytest.fixture
def result(tiny_catalogue: Path) -> dict[str, Any]:
    """p0000 stays, p0200 is removed, p0001 is brought by text, p0300 fills up."""
    kept = match(1, "p0000", tiny_catalogue)
    brought = match(2, "p0001", tiny_catalogue, text={"seed_rank": 1, "cosine": 0.834})
    return {
        "query": str(tiny_catalogue / "queries" / "q00.jpg"),
        "initial_results": [kept, match(2, "p0200", tiny_catalogue)],
        "results": [kept, brought, match(3, "p0300", tiny_catalogue)],
    }


WEIGHTS = {**dict.fromkeys(POOLINGS, "made for tests"), "sharper": "random (seed 3)"}


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
        write_model_configs(folder, backbone_config(backbone, SIDE, dimension))
    (root / PROFILE.name / "1").mkdir(parents=True)
    config = ensemble_config(PROFILE, dict.fromkeys(POOLINGS, dimension))
    write_config(root / PROFILE.name / "config.pbtxt", config)
    return root


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Objects on textures."""
    return probe_images(SIDE, 8, seed=5)
