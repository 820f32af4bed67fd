"""The photos of a request: checked, decoded, and described by the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import ImageError, QueryError
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.observability.tracing import Tracing
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors
from retrieval_server.retrieval.several_photos import MAX_PHOTOS, mean_query
from retrieval_server.serving.deadline import Deadline
from retrieval_server.serving.workers import Workers
from retrieval_server.v1 import retrieval_pb2 as pb


def photos_of(request: pb.SearchRequest, max_bytes: int) -> list[bytes]:
    """The encoded photos of a request, which show the same thing.

    Args:
        request: a request; one without ``image`` must have no further photos.
        max_bytes: size of the largest photo that is accepted.

    Raises:
        QueryError: if there are too many photos, one is too large, or ``image`` is missing.
    """
    if request.WhichOneof("query") != "image":
        if request.more_images:
            raise QueryError("more_images", "need an image that they are added to.")
        return []
    photos = [request.image, *request.more_images]
    if len(photos) > MAX_PHOTOS:
        raise QueryError(
            "more_images",
            f"make {len(photos):,} photos; at most {MAX_PHOTOS} are accepted in one search.",
        )
    for number, photo in enumerate(photos):
        if len(photo) > max_bytes:
            raise _fault(number, f"has {len(photo):,} bytes; at most {max_bytes:,} are accepted.")
    return photos


async def describe_photos(
    photos: Sequence[bytes],
    retriever: Retriever,
    workers: Workers,
    deadline: Deadline,
    tracing: Tracing,
    timings: pb.Timings,
) -> QueryDescriptors:
    """Describe photos of the same thing as one query.

    Args:
        photos: one or more encoded images.
        retriever: has the engine.
        workers: decode the photos.
        deadline: of the search.
        tracing: records the stages.
        timings: gets the time of both stages.

    Raises:
        QueryError: naming the first photo that cannot be read.
        EngineError: if the models refuse or cannot be reached.
    """
    started = time.perf_counter_ns()
    with tracing.span("decode"):
        decoded = await asyncio.gather(
            *(_decode(number, photo, retriever, workers, deadline)
              for number, photo in enumerate(photos)),
            return_exceptions=True,
        )  # fmt: skip
    pixels = [_raised(outcome) for outcome in decoded]
    ended = time.perf_counter_ns()
    with tracing.span("encode"):
        described = await asyncio.gather(
            *(retriever.encode(each, deadline.remaining_s) for each in pixels)
        )
    timings.decode_us = (ended - started) // 1000
    timings.encode_us = (time.perf_counter_ns() - ended) // 1000
    return mean_query(described)


async def _decode(
    number: int, photo: bytes, retriever: Retriever, workers: Workers, deadline: Deadline
) -> NDArray[np.uint8]:
    decode = partial(decode_image, photo, retriever.bundle.profile.side)
    try:
        return await workers.run(decode, deadline)
    except ImageError as error:
        raise _fault(number, error.problem) from error


def _raised(outcome: NDArray[np.uint8] | BaseException) -> NDArray[np.uint8]:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _fault(number: int, problem: str) -> QueryError:
    """The error of a photo, which names its field."""
    return QueryError(f"more_images[{number - 1}]", problem) if number else ImageError(problem)
