"""The commands that join the texts of a catalogue on several machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import Message, tell
from export.commands.options import LanguageFilter, Tau, Tokeniser
from export.dataset.catalogue import Catalogue, read_catalogue
from export.descriptors.finished_shards import finished_manifests, open_shards
from export.descriptors.merge_blocks import readable_rows
from export.text_index.pair_join import join_pair, shard_pairs
from export.text_index.settings import TextSettings
from export.text_index.text_fit import TextFit
from retrieval_server.command_line import option_values

MAX_SHARDS = 1_000


def fit_texts(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    *,
    output: Annotated[
        Path,
        typer.Option(help="Folder for the fitted texts.", callback=option_values.folder),
    ],
    shards: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_SHARDS, help="How many shards K; there are K (K + 1) / 2 pairs."
        ),
    ] = 1,
    from_shards: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which extract described the images; the texts of images that could "
            "not be read are left out, as index leaves them out.",
            show_default="all images can be read",
        ),
    ] = None,
    threshold: Tau = TextSettings.threshold,
    tokeniser: Tokeniser = TextSettings.tokeniser,
    language_filter: LanguageFilter = TextSettings.language_filter,
) -> None:
    """Fit TF-IDF to the texts of a catalogue, for a join on several machines by join-texts.

    Exit status 65 says that the input is at fault and that the same command would fail again.

    Example: beauty-export fit-texts build/demo/sample --output build/demo/texts --shards 4
    """
    settings = TextSettings(
        threshold=threshold, tokeniser=tokeniser, language_filter=language_filter
    )
    products = read_catalogue(catalogue)
    descriptions = _descriptions(products, from_shards)
    fit, is_new = TextFit(output, shards, settings).run(descriptions)
    pairs = len(shard_pairs(shards))
    if not is_new:
        tell([Message(f"nothing to do: the texts in {output} are fitted")])
        return
    tell(
        [
            Message(
                f"{output}: {fit.products:,} texts, {fit.counts.terms:,} terms, {shards} shards; "
                f"join-texts has to join {pairs} pairs of them"
            )
        ]
    )


def join_texts(
    texts: Annotated[Path, typer.Argument(help="Folder of fit-texts.")],
    *,
    pair: Annotated[
        int,
        typer.Option(
            envvar="JOB_COMPLETION_INDEX",  # what an Indexed Job of Kubernetes gives its pods
            min=0,
            help="Which pair of shards, from 0.",
        ),
    ] = 0,
) -> None:
    """Join one pair of shards of fitted texts; index --joined-texts puts the pairs together.

    Exit status 65 says that the input is at fault and that the same command would fail again.

    Example: beauty-export join-texts build/demo/texts --pair 9
    """
    joined, is_new = join_pair(texts, pair)
    if is_new:
        tell([Message(f"pair {pair} in {texts}: {joined.pairs:,} pairs of texts found")])
    else:
        tell([Message(f"nothing to do: pair {pair} in {texts} is joined")])


def _descriptions(catalogue: Catalogue, from_shards: Path | None) -> Sequence[str]:
    """The texts of the products that an index of the catalogue will have."""
    if from_shards is None:
        return [row.description for row in catalogue.rows]
    manifests = finished_manifests(from_shards, None)
    models, side = manifests[0].models, manifests[0].side
    rows, _ = readable_rows(open_shards(from_shards, manifests, catalogue, models, side))
    return [catalogue.rows[row].description for row in rows]
