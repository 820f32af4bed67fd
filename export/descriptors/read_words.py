"""Reads the words on image files with the reader of a model repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from retrieval_server.errors import ImageError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo, decode_photo
from retrieval_server.models.preprocessing import read_bytes
from retrieval_server.models.reader import READER_MODELS
from retrieval_server.reading.reader import Reader, ReadLine, compile_reader, open_reader

OnRead = Callable[[int, tuple[ReadLine, ...] | ImageError], None]


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
    compile_reader()
    opened = engine.open(ensemble, READER_MODELS)
    try:
        reader = open_reader(ModelRepository(engine.repository), opened)
        free = asyncio.Semaphore(opened.in_flight)

        async def read(number: int, image: Path) -> None:
            try:
                on_read(number, await _read(reader, image))
            finally:
                free.release()

        async with asyncio.TaskGroup() as group:
            for number, image in enumerate(images):
                await free.acquire()
                group.create_task(read(number, image))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        await opened.close()


async def _read(reader: Reader, image: Path) -> tuple[ReadLine, ...] | ImageError:
    try:
        photo = await asyncio.to_thread(_photo, image)
    except ImageError as error:
        return error
    return await reader.read(photo)


def _photo(image: Path) -> Photo:
    return decode_photo(read_bytes(image))
