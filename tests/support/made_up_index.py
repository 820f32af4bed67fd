"""A real version of the index from made-up descriptors, texts and columns: many rows, no images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.dataset.catalogue import CatalogueRow
from export.index.products import write_products
from export.index.stage_log import StageLog
from export.index.words import write_words
from export.text_index.build import build_text_index
from export.text_index.settings import TextSettings
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.descriptors import descriptor_file
from retrieval_server.index.images import IMAGE_DIGEST_BYTES, IMAGE_DIGESTS_FILE
from retrieval_server.index.manifest import IndexedModel, Manifest, write_manifest
from retrieval_server.index.reference_image import write_reference
from retrieval_server.models.preprocessing import PREPROCESSING
from retrieval_server.models.profile import Profile
from retrieval_server.text.language_filter import KEEP_ALL
from retrieval_server.text.read_text import NOT_READ, ReadText, encode_read
from tests.support.made_up_databases import exact_vectors

COLUMNS = ("product", "brand", "price", "sold", "shop", "sku")
BRANDS = ("Nuxe", "Bioderma", "Caudalie", "Maison Été")
THINGS = ("lip balm", "hand wash", "face oil", "night cream", "hair mask")
SHADES = ("ruby", "amber", "ocean", "violet", "forest", "pearl", "sand")


def made_up_products(rng: np.random.Generator, count: int) -> list[CatalogueRow]:
    """Images of products with up to five images each, and columns of every kind.

    ``product``, ``brand``, ``price`` and ``sold`` have missing values; prices are written in
    several ways. ``sku`` has another value in each row, ``shop`` the same one in all.
    """
    products = []
    for row in range(count):
        number = int(rng.integers(1 + count // 3))
        attributes = {
            "product": f"P{number:04d}",
            "brand": BRANDS[number % len(BRANDS)],
            "price": f"{5 + number % 7}{rng.choice(['', '.0', '.00'])}",
            "sold": ("true", "false")[number % 2],
            "shop": "ours",
            "sku": f"S{row:05d}",
        }
        for name in ("product", "brand", "price", "sold"):
            if rng.random() < 0.1:
                del attributes[name]
        words = (BRANDS[number % len(BRANDS)], SHADES[number % 7], THINGS[number % 5])
        description = " ".join([*words, f"no {number % 11}"]) if rng.random() < 0.9 else ""
        products.append(CatalogueRow(f"r{row:05d}", f"{row}.jpg", description, attributes))
    return products


def made_up_lines(rng: np.random.Generator, count: int) -> list[str]:
    """What was read on the images: nothing, lines, or that the reader failed."""
    lines = [ReadText(f"{SHADES[n % 7]} no {n}", 0.5 + n / 40) for n in range(20)]
    entries = [NOT_READ, *(encode_read(lines[n : n + n % 4]) for n in range(20))]
    return [entries[n] for n in rng.integers(0, len(entries), count)]


def made_up_index(
    folder: Path, profile: Profile, rng: np.random.Generator, count: int, *, is_read: bool = False
) -> IndexBundle:
    """Write and open a version without levels; its cosines are exact, and full of ties.

    With ``is_read``, its images were read.
    """
    products = made_up_products(rng, count)
    descriptors = [exact_vectors(rng, count)[rng.integers(0, count, count)] for _ in profile.models]
    lines = made_up_lines(rng, count) if is_read else ()
    return index_of(folder, profile, products, descriptors, lines)


def index_of(
    folder: Path,
    profile: Profile,
    products: Sequence[CatalogueRow],
    descriptors: Sequence[NDArray[np.float32]],
    lines: Sequence[str] = (),
) -> IndexBundle:
    """Write and open a version without levels of some products and their descriptors.

    Without ``lines``, their images were not read.
    """
    folder.mkdir()
    models, count = {}, len(products)
    for model, vectors in zip(profile.models, descriptors, strict=True):
        np.save(folder / descriptor_file(model), vectors)
        write_reference(folder, {model: vectors[:1]})
        models[model] = IndexedModel("made up", vectors.shape[1], "made for tests", 0)
    np.save(folder / IMAGE_DIGESTS_FILE, np.zeros((count, IMAGE_DIGEST_BYTES), np.uint8))
    log = StageLog(folder.with_name(f"{folder.name}.jsonl"), "made up")
    reader = "made up" if lines else ""
    words = write_words(folder, products, ("brand",), log, reader=reader, read=lambda: lines)
    columns = write_products(folder, products, COLUMNS, [])
    text = TextSettings(language_filter=KEEP_ALL)
    descriptions = [product.description for product in products]
    report = build_text_index(descriptions, text, folder, lambda _: None)
    manifest = Manifest(
        profile=profile,
        models=models,
        preprocessing=PREPROCESSING,
        precision=None,
        products=count,
        rejected=0,
        documents=report.documents,
        text_pairs=report.sizes.neighbours,
        text=text.to_json() | report.to_json(),
        words=words,
        columns=columns,
        search=None,
    )
    write_manifest(folder, manifest)
    return IndexBundle(folder)
