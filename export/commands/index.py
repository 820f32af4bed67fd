"""The commands that describe a catalogue and build its index, whole or in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import say, warn
from export.commands.options import (
    DEFAULT_REPOSITORY,
    EngineName,
    ProfileName,
    Repository,
    ShardNumber,
    TritonAccessKey,
    TritonTlsCa,
    TritonTlsCert,
    TritonTlsKey,
    TritonUrl,
    patient_triton,
)
from export.dataset.catalogue import read_catalogue
from export.descriptors.extract_shard import ShardExtraction
from export.descriptors.shards import Shard
from export.index.build import IndexBuild
from export.models.profiles import LITE, find_profile
from export.text_index.language_filter import LANGUAGE_FILTERS
from export.text_index.settings import TextSettings
from retrieval_server.engines.engine import ENGINES, TritonConnection
from retrieval_server.index.bundle import REJECTS_FILE
from retrieval_server.text.tokens import TOKENISERS

DESCRIPTIONS_NAMED = 5  # ids to name in a warning

EXTRACT_EXAMPLE = (
    "Example: beauty-export extract build/demo/sample --output build/demo/shards --shard 0 "
    "--shards 4"
)
INDEX_EXAMPLE = "Example: beauty-export index build/demo/sample --output build/demo/index"


def _between_0_and_1(value: float) -> float:
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value} does not lie between 0 and 1.")
    return value


Tau = Annotated[
    float,
    typer.Option(help="τ of the textual index, between 0 and 1.", callback=_between_0_and_1),
]


def extract(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[Path, typer.Option(help="Folder for the shards, side by side.")],
    shard: ShardNumber = 0,
    shards: Annotated[int, typer.Option(min=1, help="How many shards there are.")] = 1,
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: EngineName = ENGINES[0],
    triton_url: TritonUrl = TritonConnection.url,
    triton_tls_ca: TritonTlsCa = None,
    triton_tls_cert: TritonTlsCert = None,
    triton_tls_key: TritonTlsKey = None,
    triton_access_key: TritonAccessKey = None,
    reuse: Annotated[
        Path | None,
        typer.Option(
            help="Index from which the descriptors of unchanged images are taken, if there is one.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Describe one shard of a catalogue's images; index --from-shards puts them together.

    Exit status 65 says that the input is at fault and that trying again is no use.
    """
    if shard >= shards:
        raise typer.BadParameter(f"{shard} must be below --shards {shards}.", param_hint="--shard")
    part = Shard(shard, shards)
    extracted = ShardExtraction(
        catalogue=read_catalogue(catalogue),
        shard=part,
        profile=find_profile(profile),
        model_repository=model_repository,
        folder=output / part.folder_name,
        engine=engine,
        triton=patient_triton(
            triton_url, triton_tls_ca, triton_tls_cert, triton_tls_key, triton_access_key
        ),
        reuse=reuse,
    ).run()
    finished = extracted.shard
    if not extracted.is_new:
        say(f"nothing to do: {finished.folder} is complete")
        return
    say(f"{finished.folder}: {finished.manifest.products:,} images described")
    _say_what_was_reused(extracted.reused, extracted.no_reuse)
    if finished.manifest.rejected:
        warn(f"{finished.manifest.rejected:,} images could not be read; the index will name them.")


def index(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[Path, typer.Option(help="Index folder to publish in.")],
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: EngineName = ENGINES[0],
    triton_url: TritonUrl = TritonConnection.url,
    triton_tls_ca: TritonTlsCa = None,
    triton_tls_cert: TritonTlsCert = None,
    triton_tls_key: TritonTlsKey = None,
    triton_access_key: TritonAccessKey = None,
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
    from_shards: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which extract described the images.", show_default="describe them now"
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="How many shards to take.", show_default="all there are"),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(help="Take the descriptors of unchanged images from the current version."),
    ] = True,
) -> None:
    """Build an index from a catalogue, or bring one up to date.

    Images that the current version has described are not described again, and a build that was
    interrupted is taken up.
    """
    if shards is not None and from_shards is None:
        raise typer.BadParameter("It goes with --from-shards.", param_hint="--shards")
    triton = patient_triton(
        triton_url, triton_tls_ca, triton_tls_cert, triton_tls_key, triton_access_key
    )
    text = TextSettings(
        threshold=threshold,
        tokeniser=tokeniser,
        language_filter=language_filter,
        max_neighbours=max_neighbours,
    )
    build(
        catalogue,
        output,
        profile,
        model_repository,
        engine,
        triton,
        text,
        half_precision,
        from_shards,
        shards,
        reuse,
    )


def build(
    catalogue: Path,
    output: Path,
    profile: str,
    repository: Path,
    engine: str,
    triton: TritonConnection,
    text: TextSettings,
    half_precision: bool = False,
    from_shards: Path | None = None,
    shard_count: int | None = None,
    reuse: bool = True,
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
        from_shards: folder of finished shards; None describes the images now.
        shard_count: how many shards to take; None takes all there are.
        reuse: whether images that the current version has described are not described again.

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
        catalogue=read,
        profile=find_profile(profile),
        model_repository=repository,
        root=output,
        engine=engine,
        text=text,
        triton=triton,
        half_precision=half_precision,
        from_shards=from_shards,
        shard_count=shard_count,
        reuse=reuse,
    ).run()
    manifest = built.manifest
    if manifest is None:
        say(f"nothing to do: {built.folder} is up to date")
        return
    say(
        f"{built.folder}: {manifest.products:,} products, {manifest.documents:,} descriptions, "
        f"{manifest.text_pairs:,} text neighbours"
    )
    _say_what_was_reused(built.reused, built.no_reuse)
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


def _say_what_was_reused(reused: int, no_reuse: str) -> None:
    if reused:
        say(f"{reused:,} images were described before and have not changed")
    if no_reuse:
        warn(f"every image was described anew: {no_reuse}")
