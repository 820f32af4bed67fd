"""Reads the words on image files with the reader of a model repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ImageError,
)
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo, decode_photo
from retrieval_server.models.preprocessing import read_bytes
from retrieval_server.models.reader import READER_MODELS
from retrieval_server.reading.reader import Reader, ReadLine, compile_reader, open_reader

IMAGE_TIMEOUT_S = 300.0  # for an image; a call of an engine that restarts may take a part of it

OnRead = Callable[[int, tuple[ReadLine, ...] | ImageError], None]
OnReadOrFailed = Callable[[int, tuple[ReadLine, ...] | ImageError | EngineError], None]


def read_words(
    images: Sequence[Path], ensemble: str, engine: EngineChoice, on_read: OnRead
) -> None:
    """Read images, several at a time.

    Args:
        images: image files.
        ensemble: name of a profile whose models the engine serves beside the reader's.
        engine: the engine; the reader must be in its repository.
        on_read: told the position of each image and what was read, or why it cannot be; the images
            end in any order.

    Raises:
        RetrievalError: if the reader's models are missing, or the engine fails.
    """
    if images:
        asyncio.run(_read_words(images, ensemble, engine, on_read))


async def _read_words(
    images: Sequence[Path], ensemble: str, engine: EngineChoice, on_read: OnRead
) -> None:
    def keep(number: int, read: tuple[ReadLine, ...] | ImageError | EngineError) -> None:
        if isinstance(read, EngineError):
            raise read
        on_read(number, read)

    compile_reader()
    opened = engine.open(ensemble, READER_MODELS)
    try:
        reader = open_reader(ModelRepository(engine.repository), opened)
        photos = [partial(_photo, image) for image in images]
        await read_photos(photos, reader, opened.in_flight, keep)
    finally:
        await opened.close()


async def read_photos(
    photos: Sequence[Callable[[], Photo]], reader: Reader, at_once: int, on_read: OnReadOrFailed
) -> None:
    """Read photos; a photo on which the engine fails does not stop the others.

    It is tried once more after the others, by itself.

    Args:
        photos: each decodes a photo, in a thread; an ``ImageError`` is an outcome.
        reader: reads them.
        at_once: how many are read at the same time.
        on_read: told the position of each photo and what was read, or why it cannot be; the photos
            end in any order.

    Raises:
        EngineError: if more photos in a row fail than are read at the same time, or if the engine
            is unavailable in the second try too: then it is not the photo's fault.
        RetrievalError: any other error of the reader or of ``photos``.
    """
    failed: list[int] = []
    failed_in_a_row = 0
    free = asyncio.Semaphore(at_once)

    async def read(number: int) -> None:
        nonlocal failed_in_a_row
        try:
            outcome = await _read(reader, photos[number])
        except EngineError:
            failed.append(number)
            failed_in_a_row += 1
            if failed_in_a_row > at_once:
                raise
        else:
            failed_in_a_row = 0
            on_read(number, outcome)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(len(photos)):
                await free.acquire()
                group.create_task(read(number))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    for number in failed:
        on_read(number, await _read_again(reader, photos[number]))


async def _read(reader: Reader, decode: Callable[[], Photo]) -> tuple[ReadLine, ...] | ImageError:
    try:
        async with asyncio.timeout(IMAGE_TIMEOUT_S):
            return await reader.read(await asyncio.to_thread(decode))
    except ImageError as error:
        return error
    except TimeoutError as error:
        raise EngineDeadlineError(f"It was not read within {IMAGE_TIMEOUT_S:g} s.") from error


async def _read_again(
    reader: Reader, decode: Callable[[], Photo]
) -> tuple[ReadLine, ...] | ImageError | EngineError:
    try:
        return await _read(reader, decode)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        return error


def _photo(image: Path) -> Photo:
    return decode_photo(read_bytes(image))
