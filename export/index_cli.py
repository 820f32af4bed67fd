"""The command that builds the index of a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.build_index import IndexBuild
from export.catalogue import read_catalogue
from export.language_filter import LANGUAGE_FILTERS
from export.messages import say, warn
from export.options import (
    DEFAULT_REPOSITORY,
    EngineName,
    ProfileName,
    Repository,
    TritonUrl,
    patient_triton,
)
from export.profiles import LITE, find_profile
from export.text_settings import TextSettings
from export.tokens import TOKENISERS
from retrieval_server.engines import ENGINES, TritonConnection
from retrieval_server.index_bundle import REJECTS_FILE

DESCRIPTIONS_NAMED = 5  # ids to name in a warning
INDEX_EXAMPLE = "Example: beauty-export index build/demo/sample --output build/demo/index"


def _between_0_and_1(value: float) -> float:
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value} does not lie between 0 and 1.")
    return value


Tau = Annotated[
    float,
    typer.Option(help="τ of the textual index, between 0 and 1.", callback=_between_0_and_1),
]


def index(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[Path, typer.Option(help="Index folder to publish in.")],
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: EngineName = ENGINES[0],
    triton_url: TritonUrl = TritonConnection.url,
    threshold: Tau = TextSettings.threshold,
    tokeniser: Annotated[
        str,
        typer.Option(help=f"How descriptions become terms: {' or '.join(TOKENISERS)}."),
    ] = TextSettings.tokeniser,
    language_filter: Annotated[
        str,
        typer.Option(
            help="Which descriptions the textual index leaves out: "
            f"{' or '.join(LANGUAGE_FILTERS)}. Their products are found by image."
        ),
    ] = TextSettings.language_filter,
    max_neighbours: Annotated[
        int | None,
        typer.Option(
            min=1, help="Longest list of text neighbours, the nearest kept.", show_default="any"
        ),
    ] = TextSettings.max_neighbours,
    half_precision: Annotated[
        bool, typer.Option(help="Store float16 descriptors, half the size; they then are exact.")
    ] = False,
) -> None:
    """Build an index from a catalogue; take up a build that was interrupted."""
    triton = patient_triton(triton_url)
    text = TextSettings(
        threshold=threshold,
        tokeniser=tokeniser,
        language_filter=language_filter,
        max_neighbours=max_neighbours,
    )
    build(catalogue, output, profile, model_repository, engine, triton, text, half_precision)


def build(
    catalogue: Path,
    output: Path,
    profile: str,
    repository: Path,
    engine: str,
    triton: TritonConnection,
    text: TextSettings,
    half_precision: bool = False,
) -> None:
    """Build an index; say on stderr what was left out, and why.

    Args:
        catalogue: its file, or the folder it lies in.
        output: index folder to publish in.
        profile: name of a profile, or a .toml file.
        repository: the models.
        engine: what computes the descriptors.
        triton: where Triton is, for the engine ``triton``.
        text: settings of the textual index.
        half_precision: whether to store float16 descriptors.

    Raises:
        RetrievalError: if it cannot be built.
    """
    read = read_catalogue(catalogue)
    blank = [row.product_id for row in read.rows if not row.description.strip()]
    if blank:
        named = ", ".join(blank[:DESCRIPTIONS_NAMED]) + (
            " …" if len(blank) > DESCRIPTIONS_NAMED else ""
        )
        warn(
            f"{len(blank):,} products have an empty description ({named}): they are found by "
            "image only. Fill in the description column to have them refined."
        )
    built = IndexBuild(
        read, find_profile(profile), repository, output, engine, text, triton, half_precision
    ).run()
    manifest = built.manifest
    if manifest is None:
        say(f"nothing to do: {built.folder} is up to date")
        return
    say(
        f"{built.folder}: {manifest.products:,} products, {manifest.documents:,} descriptions, "
        f"{manifest.text_pairs:,} text neighbours"
    )
    if left_out := manifest.text["left_out"]:
        languages = ", ".join(f"{language} {count:,}" for language, count in left_out.items())
        say(
            f"{sum(left_out.values()):,} descriptions are not English ({languages}): their "
            "products are found by image"
        )
    if manifest.rejected:
        warn(
            f"{manifest.rejected:,} images could not be read and are not in the index; see "
            f"{built.folder / REJECTS_FILE}"
        )
    for name, model in manifest.models.items():
        if model.zero_descriptors:
            warn(f"{model.zero_descriptors:,} images have an all-zero descriptor by {name}.")
    for warning in (*built.warnings, *manifest.warnings):
        warn(warning)
