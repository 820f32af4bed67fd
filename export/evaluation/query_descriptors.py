"""Descriptors of query images, computed as the server does: same models, same preprocessing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from export.descriptors.read_words import read_words
from export.progress import progress
from retrieval_server.errors import ImageError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from retrieval_server.reading.reader import ReadLine
from retrieval_server.retrieval.open_retriever import open_retriever
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors

Lines = tuple[str, ...]  # of text on one photo, from top to bottom


def describe_images(
    images: Sequence[Path], bundle: IndexBundle, engine: EngineChoice
) -> tuple[Retriever, list[QueryDescriptors | ImageError]]:
    """Open an index for searching, and describe query images with its models.

    Args:
        images: image files.
        bundle: the index to search.
        engine: the engine; its repository must hold the models that the index was built with.

    Returns:
        The retriever, whose engine is closed, and the descriptors of each image, or why it cannot
        be read.

    Raises:
        RetrievalError: if the models are missing or differ from the index's, or the engine fails.
    """
    return asyncio.run(_describe(images, bundle, engine))


def read_queries(images: Sequence[Path], ensemble: str, engine: EngineChoice) -> list[Lines]:
    """Read the words on query images.

    Args:
        images: image files.
        ensemble: name of the index's profile.
        engine: the engine; the reader must be in its repository.

    Returns:
        The lines of each image; none for one that cannot be read.

    Raises:
        RetrievalError: if the engine fails.
    """
    lines: list[Lines] = [()] * len(images)

    def keep(number: int, read: tuple[ReadLine, ...] | ImageError) -> None:
        if not isinstance(read, ImageError):
            lines[number] = tuple(line.text for line in read)
        advance(1)

    with progress("words on photos", len(images)) as advance:
        read_words(images, ensemble, engine, keep)
    return lines


async def _describe(
    images: Sequence[Path], bundle: IndexBundle, engine: EngineChoice
) -> tuple[Retriever, list[QueryDescriptors | ImageError]]:
    repository = ModelRepository(engine.repository)
    retriever = await open_retriever(bundle, repository, partial(engine.open, bundle.profile.name))
    limit = asyncio.Semaphore(retriever.engine.in_flight)
    side = bundle.profile.side

    async def describe(image: Path) -> QueryDescriptors | ImageError:
        async with limit:
            try:
                pixels = await asyncio.to_thread(read_image, image, side)
            except ImageError as error:
                return error
            finally:
                advance(1)
            return await retriever.encode(pixels)

    try:
        with progress("queries", len(images)) as advance:
            described = await asyncio.gather(*(describe(image) for image in images))
    finally:
        await retriever.engine.close()
    return retriever, described
