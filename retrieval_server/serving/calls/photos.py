"""The photos of a request: checked, decoded, described by the engine, and read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import ImageError, QueryError
from retrieval_server.models.image_file import (
    LITTLE_MEMORY_BYTES,
    WORST_IMAGE_BYTES,
    LargeImageError,
)
from retrieval_server.models.photo import Photo, decode_square_and_photo
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.observability.tracing import Tracing
from retrieval_server.reading.reader import Reader
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors
from retrieval_server.retrieval.several_photos import MAX_PHOTOS, mean_query
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.turns import Turns
from retrieval_server.serving.admission.workers import Workers
from retrieval_server.serving.calls.photo_words import NOT_READ, PhotoWords, read_photos
from retrieval_server.v1 import retrieval_pb2 as pb

Decoded = tuple[NDArray[np.uint8], Photo | None]  # (S, S, 3) for the backbones, and to read


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


@dataclass(frozen=True)
class SeenPhotos:
    """What photos of the same thing say together.

    Attributes:
        query: their descriptors, as one query.
        words: the words on them.
    """

    query: QueryDescriptors
    words: PhotoWords


@dataclass(frozen=True)
class PhotoStages:
    """The stages from encoded photos to a query.

    Callers take turns in each stage.

    Attributes:
        decoding: decodes the photos.
        memory: the bytes that large photos may take at once while they are decoded.
        encoding: the photos that the engine may describe at once.
        reading: the photos that may be read at once.
        tracing: records the stages.
        reader: reads the words on the photos; None reads nothing.
    """

    decoding: Workers
    memory: Turns
    encoding: Turns
    reading: Turns
    tracing: Tracing
    reader: Reader | None

    async def see(
        self,
        photos: Sequence[bytes],
        retriever: Retriever,
        deadline: Deadline,
        timings: pb.Timings,
        *,
        reads: bool,
    ) -> SeenPhotos:
        """Describe photos of the same thing as one query, and read the words on them meanwhile.

        Args:
            photos: one or more encoded images.
            retriever: has the engine.
            deadline: of the search.
            timings: gets the time of each stage.
            reads: whether to read the words, if there is a reader.

        Raises:
            QueryError: naming the first photo that cannot be read.
            EngineError: if the models refuse or cannot be reached.
        """
        reader = self.reader if reads else None
        side = retriever.bundle.profile.side
        started = time.perf_counter_ns()
        with self.tracing.span("decode"):
            outcomes = await asyncio.gather(
                *(
                    self._decode(number, photo, side, deadline, reads=reader is not None)
                    for number, photo in enumerate(photos)
                ),
                return_exceptions=True,
            )
        decoded = _whole(outcomes)
        timings.decode_us = (time.perf_counter_ns() - started) // 1000
        if reader is None:
            return SeenPhotos(await self._query(decoded, retriever, deadline, timings), NOT_READ)
        reading = asyncio.create_task(self._words(reader, decoded, deadline))
        try:
            query = await self._query(decoded, retriever, deadline, timings)
            words = await reading
        finally:
            reading.cancel()  # if the models have failed; does nothing at the end
        timings.read_us = words.read_us
        return SeenPhotos(query, words)

    async def _words(
        self, reader: Reader, decoded: Sequence[Decoded], deadline: Deadline
    ) -> PhotoWords:
        photos = [photo for _, photo in decoded if photo is not None]
        with self.tracing.span("read"):
            return await read_photos(reader, photos, deadline, self.reading)

    async def _query(
        self,
        decoded: Sequence[Decoded],
        retriever: Retriever,
        deadline: Deadline,
        timings: pb.Timings,
    ) -> QueryDescriptors:
        started = time.perf_counter_ns()
        with self.tracing.span("encode"):
            described = await asyncio.gather(
                *(self._encode(square, retriever, deadline) for square, _ in decoded)
            )
        timings.encode_us = (time.perf_counter_ns() - started) // 1000
        return mean_query(described)

    async def _encode(
        self, square: NDArray[np.uint8], retriever: Retriever, deadline: Deadline
    ) -> QueryDescriptors:
        async with self.encoding.taken():
            return await retriever.encode(square, deadline.remaining_s)

    async def _decode(
        self, number: int, photo: bytes, side: int, deadline: Deadline, *, reads: bool
    ) -> Decoded:
        """Decode a photo for the backbones, and for the reader if it is to be read."""
        decoder: Callable[..., Decoded] = decode_square_and_photo if reads else _decoded_square
        decode = partial(decoder, photo, side)
        try:
            try:
                return await self.decoding.run(partial(decode, LITTLE_MEMORY_BYTES), deadline)
            except LargeImageError as large:
                needed_bytes = large.needed_bytes
            async with self.memory.taken(needed_bytes):
                return await self.decoding.run(decode, deadline)
        except ImageError as error:
            raise _fault(number, error.problem) from error


def _decoded_square(
    photo: bytes, side: int, most_bytes: int = WORST_IMAGE_BYTES
) -> tuple[NDArray[np.uint8], None]:
    return decode_image(photo, side, most_bytes), None


def _whole(outcomes: list[Decoded | BaseException]) -> list[Decoded]:
    """What was decoded; raises the first error instead, if there is one."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    decoded = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if failures:
        outcomes.clear()  # an error that a frame of its own traceback holds keeps the photos, too
        raise failures.pop(0)
    return decoded


def _fault(number: int, problem: str) -> QueryError:
    """The error of a photo, which names its field."""
    return QueryError(f"more_images[{number - 1}]", problem) if number else ImageError(problem)
