"""The export of a profile: its folders in the model repository."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from export.models.backbones import WeightsChoice, describe_weights, load_backbone
from export.models.encoder import build_encoder
from export.models.model_configs import (
    backbone_config,
    ensemble_config,
    write_config,
    write_model_configs,
)
from export.models.onnx_metadata import read_metadata
from export.models.parity import Parity, check_parity
from export.models.to_onnx import write_onnx
from retrieval_server.errors import ModelRepositoryError, ProfileError
from retrieval_server.models.model_repository import CONFIG_FILE, MODEL_FILE, ModelRepository
from retrieval_server.models.profile import Backbone, Profile

EXPORTER = 2  # raise it when the same settings give another graph


@dataclass(frozen=True)
class ExportedModel:
    """One exported backbone.

    Attributes:
        model: its folder.
        weights: source of the weights; starts with "random" for meaningless ones.
        dimension: length of its descriptors.
        parity: its difference from PyTorch; None if an earlier run exported it.
    """

    model: str
    weights: str
    dimension: int
    parity: Parity | None


def export_profile(
    profile: Profile,
    repository: Path,
    choices: Mapping[str, WeightsChoice],
    on_model: Callable[[str], None] = lambda model: None,
) -> list[ExportedModel]:
    """Export every backbone of a profile, then its ensemble.

    A model gets its name in the repository only after it agrees with PyTorch. A model that was
    exported from the same weights with the same settings is kept.

    Args:
        profile: the profile to export.
        repository: folder to write to; made if needed.
        choices: sources of weights that replace those of the backbones, by model name.
        on_model: told each model's name before its export.

    Raises:
        ProfileError: if a choice names no model of the profile, or weights are missing.
        ModelRepositoryError: if an exported graph differs from PyTorch, or a folder of the same
            name belongs to a profile of another side.
    """
    if unknown := set(choices) - set(profile.models):
        raise ProfileError(
            f"Profile {profile.name} has no model {sorted(unknown)}; it has {list(profile.models)}."
        )
    repository.mkdir(parents=True, exist_ok=True)
    for backbone in profile.backbones:
        _refuse_other_side(repository, backbone.model, profile.side)
    exported = []
    for backbone in profile.backbones:
        on_model(backbone.model)
        choice = choices.get(backbone.model, WeightsChoice())
        exported.append(_export_backbone(backbone, profile.side, repository, choice))
    dimensions = {model.model: model.dimension for model in exported}
    (repository / profile.name / "1").mkdir(parents=True, exist_ok=True)
    write_config(repository / profile.name / CONFIG_FILE, ensemble_config(profile, dimensions))
    return exported


def _export_backbone(
    backbone: Backbone, side: int, repository: Path, choice: WeightsChoice
) -> ExportedModel:
    weights = describe_weights(backbone, choice)
    settings = {**asdict(backbone), "side": side, "exporter": EXPORTER}
    del settings["model"], settings["alpha"]  # they are not in the graph
    metadata = {"weights": weights, "settings": json.dumps(settings, sort_keys=True)}
    version = repository / backbone.model / "1"
    if (dimension := _exported_dimension(version / MODEL_FILE, metadata)) is not None:
        return ExportedModel(backbone.model, weights, dimension, None)
    encoder = build_encoder(backbone, side, load_backbone(backbone, choice))
    version.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=version) as scratch:
        path = Path(scratch) / MODEL_FILE
        dimension = write_onnx(encoder, side, path, metadata)
        parity = check_parity(encoder, side, path)
        config = backbone_config(backbone, side, dimension)
        write_model_configs(repository / backbone.model, config)
        path.replace(version / MODEL_FILE)
    return ExportedModel(backbone.model, weights, dimension, parity)


def _exported_dimension(path: Path, metadata: Mapping[str, str]) -> int | None:
    """Length of a descriptor of a model exported with this metadata; None if there is none."""
    if not path.exists() or read_metadata(path) != metadata:
        return None
    return ModelRepository(path.parents[2]).model(path.parents[1].name).dimension


def _refuse_other_side(repository: Path, model: str, side: int) -> None:
    if (repository / model / CONFIG_FILE).exists():
        (image,) = ModelRepository(repository).config(model).input
        if image.dims[0] != side:
            raise ModelRepositoryError(
                f"{repository / model} holds a model for images of side {image.dims[0]}, the "
                f"profile wants {side}. Give the profile's backbone another `model` name, or "
                "delete it."
            )
