"""The command that exports models."""

from __future__ import annotations

from typing import Annotated

import typer

from export.commands.messages import optional_packages, say, warn
from export.commands.options import DEFAULT_REPOSITORY, ProfileName, Repository
from export.models.profiles import LITE, find_profile


def onnx(
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=FILE: weights of one model from a .safetensors or .pth file."),
    ] = None,
    random_seed: Annotated[
        int | None, typer.Option(help="Seeded weights that mean nothing, for a dry run.")
    ] = None,
) -> None:
    """Export a profile's backbones to ONNX and check them against PyTorch.

    Example: beauty-export onnx --profile lite
    """
    with optional_packages("The export needs"):
        from export.models.backbones import RANDOM_WEIGHTS, weights_choices
        from export.models.build_model_repository import export_profile
    chosen = find_profile(profile)
    choices = weights_choices(chosen, checkpoint or (), random_seed)
    exported = export_profile(chosen, model_repository, choices, lambda model: say(f"{model} …"))
    for result in exported:
        parity = result.parity
        checked = "is there already"
        if parity is not None:
            checked = (
                f"agrees with PyTorch: cosine ≥ {parity.min_cosine:.7f}, difference ≤ "
                f"{parity.max_difference:.1e}"
            )
        say(f"{result.model}: {result.dimension} values, weights: {result.weights}; {checked}")
        if result.weights.startswith(RANDOM_WEIGHTS):
            warn(f"{result.model} has random weights: results will mean nothing.")
