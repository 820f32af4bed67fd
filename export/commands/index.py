"""The commands that build an index from a catalogue, whole or in shards, and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.commands.index_summary import catalogue_warnings, index_summary, shard_summary
from export.commands.losses import check_images, lost_images, lost_products, undone_changes
from export.commands.messages import say, tell
from export.commands.options import (
    KeepVersions,
    LanguageFilter,
    MaxLoss,
    ProfileName,
    ReadImages,
    ShardNumber,
    Tau,
    Tokeniser,
    engine_options,
)
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction
from export.descriptors.shards import Shard
from export.index.build import IndexBuild
from export.models.profiles import LITE, find_profile
from export.text_index.settings import TextSettings
from retrieval_server.command_line import option_values
from retrieval_server.index.publish import open_index
from retrieval_server.serving.settings import Settings

WordsColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--words-column",
        metavar="NAME",
        help="Column whose values are searched by words like the description; repeat for several.",
        show_default="brand, if there is one",
    ),
]
MaxNeighbours = Annotated[
    int | None,
    typer.Option(
        min=1, help="Longest list of text neighbours, the nearest kept.", show_default="any"
    ),
]


@engine_options
def extract(
    *,
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[
        Path,
        typer.Option(help="Folder for the shards, side by side.", callback=option_values.folder),
    ],
    shard: ShardNumber = 0,
    shards: Annotated[int, typer.Option(min=1, help="How many shards there are.")] = 1,
    profile: ProfileName = LITE.name,
    engine: EngineChoice,
    reuse: Annotated[
        Path | None,
        typer.Option(
            help="Index from which the descriptors and the words of unchanged images are taken, if "
            "there is one.",
            show_default="none",
        ),
    ] = None,
    read_images: ReadImages = None,
    max_loss: MaxLoss = Settings.max_loss,
) -> None:
    """Describe one shard of a catalogue's images; index --from-shards puts them together.

    With --reuse, more than --max-loss of the images that are missing end the command before any is
    described.

    Exit status 65 says that the input is at fault and that the same command would fail again.

    Example: beauty-export extract build/demo/sample --output build/demo/shards --shard 0 --shards 4
    """
    if shard >= shards:
        raise typer.BadParameter(f"{shard} must be below --shards {shards}.", param_hint="--shard")
    part = Shard(shard, shards)
    products = read_catalogue(catalogue)
    check_images(products, part, reuse, max_loss)
    if reuse is not None:
        tell(lost_products(products, reuse, max_loss))
    extraction = ShardExtraction(
        catalogue=products,
        shard=part,
        profile=find_profile(profile),
        engine=engine,
        folder=output / part.folder_name,
        reuse=reuse,
        reads_images=bool(read_images),
    )
    tell(shard_summary(extraction.run()))


@engine_options
def index(
    *,
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[
        Path, typer.Option(help="Index folder to publish in.", callback=option_values.folder)
    ],
    profile: ProfileName = LITE.name,
    engine: EngineChoice,
    threshold: Tau = TextSettings.threshold,
    tokeniser: Tokeniser = TextSettings.tokeniser,
    language_filter: LanguageFilter = TextSettings.language_filter,
    max_neighbours: MaxNeighbours = TextSettings.max_neighbours,
    words_column: WordsColumn = None,
    read_images: ReadImages = None,
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
    joined_texts: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which join-texts joined the texts.", show_default="join them now"
        ),
    ] = None,
    remove_shards: Annotated[
        bool,
        typer.Option(
            "--remove-shards",
            help="Remove the shards and the joined texts once the index is current.",
        ),
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(help="Take the descriptors of unchanged images from the current version."),
    ] = True,
    max_loss: MaxLoss = Settings.max_loss,
    keep_versions: KeepVersions = None,
) -> None:
    """Build an index from a catalogue, or bring one up to date.

    Images that the current version has described are not described again, and a build that was
    interrupted is resumed. A finished version that has lost more than --max-loss is kept, but not
    published: the exit status is 65, and publish makes it current all the same.

    Example: beauty-export index build/demo/sample --output build/demo/index
    """
    if shards is not None and from_shards is None:
        raise typer.BadParameter("It goes with --from-shards.", param_hint="--shards")
    if remove_shards and from_shards is None and joined_texts is None:
        raise typer.BadParameter(
            "It goes with --from-shards or --joined-texts.", param_hint="--remove-shards"
        )
    text = TextSettings(
        threshold=threshold,
        tokeniser=tokeniser,
        language_filter=language_filter,
        max_neighbours=max_neighbours,
    )
    products = read_catalogue(catalogue)
    tell(catalogue_warnings(products))
    tell(lost_products(products, output, max_loss))
    tell(undone_changes(products, output))
    if from_shards is None:
        tell(lost_images(products, output, max_loss))
    build = IndexBuild(
        catalogue=products,
        profile=find_profile(profile),
        engine=engine,
        root=output,
        text=text,
        word_columns=None if words_column is None else tuple(words_column),
        half_precision=half_precision,
        from_shards=from_shards,
        shard_count=shards,
        joined_texts=joined_texts,
        reuse=reuse,
        max_loss=max_loss,
        reads_images=read_images,
        keep_versions=keep_versions,
        removes_shards=remove_shards,
    )
    tell(index_summary(build.run()))


def verify(
    index: Annotated[Path, typer.Argument(help="Index folder, or one version of it.")],
) -> None:
    """Read every file of an index and compare it with its checksum.

    Example: beauty-export verify build/demo/index
    """
    bundle = open_index(index)
    bundle.verify()
    say(f"{bundle.folder}: {len(bundle):,} products, every file as it was written")
