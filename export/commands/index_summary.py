"""Messages about a catalogue, and about the shard or the index that is made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from export.commands.messages import Message
from export.dataset.catalogue import Catalogue
from export.dataset.table import shown
from export.descriptors.extract_shard import ExtractedShard
from export.descriptors.shard_manifest import Unread
from export.index.build import BuiltIndex
from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.index.bundle import REJECTS_FILE
from retrieval_server.index.manifest import Manifest
from retrieval_server.index.retention import Retention
from retrieval_server.text.word_search import IMAGE

DESCRIPTIONS_NAMED = 5  # ids to name in a warning
PLACEHOLDERS_NAMED = 3


def catalogue_warnings(catalogue: Catalogue) -> Iterator[Message]:
    """Say how the catalogue was understood; warn of descriptions that are empty or were changed."""
    for note in catalogue.notes:
        yield Message(note)
    if markup := catalogue.cleaned.markup:
        yield Message(
            f"{len(markup):,} descriptions held markup, entities or invisible characters, such as "
            f"{shown(next(iter(markup.values())))} ({_some(list(markup))}): they are indexed as "
            "plain text."
        )
    blank = [row.product_id for row in catalogue.rows if not row.description.strip()]
    if blank:
        words = Counter(text.strip() for text in catalogue.cleaned.placeholders.values())
        placeholders = ", ".join(
            f"{shown(text)} {count:,}" for text, count in words.most_common(PLACEHOLDERS_NAMED)
        )
        among = f"; {words.total():,} of them say {placeholders}" if words else ""
        yield Message(
            f"{len(blank):,} {_noun(catalogue)} have an empty description ({_some(blank)}){among}: "
            "they are found by image only. Fill in the description column to have them refined.",
            is_warning=True,
        )


def _noun(catalogue: Catalogue) -> str:
    """What a row of a catalogue is: a product, or one of its images."""
    names = [row.attributes.get(PRODUCT_COLUMN, row.product_id) for row in catalogue.rows]
    return "products" if len(set(names)) == len(names) else "images"


def _some(ids: list[str]) -> str:
    """The first ids of a list, as a message shows them."""
    further = " …" if len(ids) > DESCRIPTIONS_NAMED else ""
    return ", ".join(ids[:DESCRIPTIONS_NAMED]) + further


def shard_summary(extracted: ExtractedShard) -> Iterator[Message]:
    """Say what a shard holds, and warn of images that could not be read."""
    shard = extracted.shard
    if not extracted.is_new:
        yield Message(f"nothing to do: {shard.folder} is complete")
        return
    done = "described and read" if shard.manifest.reader else "described"
    yield Message(f"{shard.folder}: {shard.manifest.products:,} images {done}")
    yield from _reuse_summary(extracted.reused, extracted.no_reuse)
    if rejected := shard.manifest.rejected:
        yield Message(
            f"{rejected:,} images could not be read; the index will name them.", is_warning=True
        )
    yield from _unread_warning(shard.manifest.unread, "Run the same command again to try again.")


def index_summary(built: BuiltIndex) -> Iterator[Message]:
    """Say what an index holds and which versions were removed; warn of what it leaves out."""
    yield from _built_summary(built)
    yield from retention_summary(built.retention)


def retention_summary(retention: Retention) -> Iterator[Message]:
    """Say which old versions were removed, and which could not be."""
    if retention.removed:
        yield Message(f"old versions removed: {', '.join(retention.removed)}")
    if retention.in_use:
        yield Message(
            f"old versions that stay, since a process has them open: {', '.join(retention.in_use)}"
        )


def _built_summary(built: BuiltIndex) -> Iterator[Message]:
    manifest = built.manifest
    if manifest is None:
        yield Message(
            f"{built.folder} was built before and is current now"
            if built.published
            else f"nothing to do: {built.folder} is up to date"
        )
        return
    yield Message(
        f"{built.folder}: {_products(manifest)}, {manifest.documents:,} descriptions, "
        f"{manifest.text_pairs:,} text neighbours"
    )
    if (read := manifest.words.fields.get(IMAGE)) is not None:
        yield Message(f"words were read on {read.texts:,} of {manifest.products:,} images")
    yield from _unread_warning(built.unread, "The next version tries again.")
    yield from _reuse_summary(built.reused, built.no_reuse)
    if left_out := manifest.text["left_out"]:
        languages = ", ".join(f"{language} {count:,}" for language, count in left_out.items())
        yield Message(
            f"{sum(left_out.values()):,} descriptions are not English ({languages}): their "
            "products are found by image"
        )
    if manifest.rejected:
        yield Message(
            f"{manifest.rejected:,} images could not be read and are not in the index; see "
            f"{built.folder / REJECTS_FILE}",
            is_warning=True,
        )
    for name, model in manifest.models.items():
        if model.zero_descriptors:
            yield Message(
                f"{model.zero_descriptors:,} images have an all-zero descriptor by {name}.",
                is_warning=True,
            )
    for warning in (*manifest.text_warnings, *manifest.column_warnings, *manifest.warnings):
        yield Message(warning, is_warning=True)
    yield from _calibration_summary(built)


def _products(manifest: Manifest) -> str:
    """How many products an index has, and how many images where products have several."""
    for column in manifest.columns:
        if column.name == PRODUCT_COLUMN:
            products = column.distinct + column.missing
            if products < manifest.products:
                return f"{manifest.products:,} images of {products:,} products"
    return f"{manifest.products:,} products"


def _calibration_summary(built: BuiltIndex) -> Iterator[Message]:
    carried = built.calibration
    if carried is None:
        return
    if not carried.obstacle:
        yield Message(f"the calibration of {carried.version} is kept: it holds here as well")
        return
    yield Message(
        f"the calibration of {carried.version} does not hold for this version, which has none: "
        f"{carried.obstacle} Make one with: beauty-export calibrate {built.folder.parent} "
        "--ground-truth FILE",
        is_warning=True,
    )


def _unread_warning(unread: Unread, advice: str) -> Iterator[Message]:
    if unread.count:
        yield Message(
            f"the words on {unread.count:,} images were not read, the first: "
            f"{unread.first.rstrip('.')}. {advice}",
            is_warning=True,
        )


def _reuse_summary(reused: int, no_reuse: str) -> Iterator[Message]:
    if reused:
        yield Message(f"{reused:,} images were described before and have not changed")
    if no_reuse:
        yield Message(f"every image was described again: {no_reuse}", is_warning=True)
