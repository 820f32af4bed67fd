"""Descriptors of query images, computed as the server does: same models, same preprocessing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from export.progress import progress
from retrieval_server.errors import ImageError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors


def open_retriever(bundle: IndexBundle, engine: EngineChoice) -> Retriever:
    """Open a retriever over an index; its engine uses every available core.

    Args:
        bundle: the index.
        engine: what computes the descriptors of the queries; its repository must hold the models
            that the index was built with.

    Raises:
        RetrievalError: if the models are missing or differ from the index's.
    """
    name = bundle.profile.name
    members = ModelRepository(engine.repository).ensemble(name)
    bundle.require_models({member.name: member.digest for member in members})
    return Retriever(bundle, engine.open(name))


def describe_images(images: Sequence[Path], retriever: Retriever) -> list[QueryDescriptors | None]:
    """Describe query images, then close the retriever's engine.

    Args:
        images: image files.
        retriever: the retriever of the index to search.

    Returns:
        The descriptors of each image; None for an image that cannot be read.

    Raises:
        RetrievalError: if the engine fails, or computes other descriptors than the index's.
    """
    return asyncio.run(_describe(images, retriever))


async def _describe(images: Sequence[Path], retriever: Retriever) -> list[QueryDescriptors | None]:
    limit = asyncio.Semaphore(retriever.engine.in_flight)
    side = retriever.bundle.profile.side

    async def describe(image: Path) -> QueryDescriptors | None:
        async with limit:
            try:
                pixels = await asyncio.to_thread(read_image, image, side)
            except ImageError:
                return None
            finally:
                advance(1)
            return await retriever.encode(pixels)

    await retriever.check_engine()
    with progress("queries", len(images)) as advance:
        described = await asyncio.gather(*(describe(image) for image in images))
    await retriever.engine.close()
    return described
