"""The reader: from a photo to its lines of text.

Detect text on the whole photo, cut out the lines, turn those that are upside down, recognise them.
What is read in a photo depends on that photo alone. Every step has a bound, so a pattern that looks
like thousands of lines takes no longer than a page of text: see ``boxes.MAX_BOXES`` and
``lines.MAX_LINES``.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval_server.engines.engine import Engine
from retrieval_server.errors import EngineDeadlineError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo
from retrieval_server.models.reader import (
    CONFIDENCES_OUTPUT,
    READER_MODELS,
    SYMBOLS_OUTPUT,
    TEXT_DETECTOR,
    TEXT_MAP_OUTPUT,
    TEXT_ORIENTATION,
    TEXT_RECOGNISER,
    UPSIDE_DOWN_OUTPUT,
    read_alphabet,
)
from retrieval_server.reading.boxes import find_boxes
from retrieval_server.reading.characters import decode
from retrieval_server.reading.lines import Line, by_padded_width, cut_lines
from retrieval_server.reading.resampling import resized

SHORTER_SIDE = 640  # pixels of the detector's image; PP-OCR's 736 costs a third more
LONGEST_SIDE = 1_600  # pixels, also of an image that is much longer than wide
READING = "lines-2"  # name of all rules of this room; a changed rule gets a new one
MAP_STEP = 32  # both sides are multiples of it
SURELY_UPSIDE_DOWN = 0.9  # probability, PP-OCR's
MIN_CONFIDENCE = 0.5  # what is read with less is noise

Result = TypeVar("Result")
Corner = tuple[float, float]


@dataclass(frozen=True)
class ReadLine:
    """A line of text on a photo.

    Attributes:
        text: its characters, one or more.
        confidence: mean probability of the characters, ``MIN_CONFIDENCE`` to 1.
        corners: (x, y) of its box in pixels of the upright image in the file, clockwise from the
            top left of the text.
    """

    text: str
    confidence: float
    corners: tuple[Corner, Corner, Corner, Corner]


class Reader:
    """Reads the words on photos, with the models of an engine.

    Args:
        engine: opened with ``READER_MODELS``.
        alphabet: text of each symbol of the recogniser.
        workers: threads for what is computed here; None for those of the event loop.
        digest: of the models and rules, see ``reader_digest``; empty where nobody asks.
    """

    def __init__(
        self,
        engine: Engine,
        alphabet: Sequence[str],
        workers: Executor | None = None,
        digest: str = "",
    ) -> None:
        self.digest = digest
        self._engine = engine
        self._alphabet = alphabet
        self._workers = workers

    async def read(self, photo: Photo, timeout_s: float | None = None) -> tuple[ReadLine, ...]:
        """Read a photo.

        Args:
            photo: the photo.
            timeout_s: seconds that the caller waits; None for as long as the engine's settings
                allow for each of its calls.

        Returns:
            The lines, from top to bottom and from left to right.

        Raises:
            EngineError: if the models refuse or cannot be reached.
            EngineDeadlineError: if they do not answer in time.
            ModelRepositoryError: if the served models are not those of the repository.
            ModelMismatchError: if the weights differ from those that answered the first call.
        """
        remaining_s = _countdown(timeout_s)
        image = await self._compute(detector_image, photo.pixels)
        text_map = (await self._engine.run(TEXT_DETECTOR, image[None], remaining_s()))[
            TEXT_MAP_OUTPUT
        ][0]
        lines = await self._compute(_lines, photo.pixels, text_map)
        if not lines:
            return ()
        lines = await self._upright(lines, remaining_s())
        texts = await self._recognised(lines, remaining_s())
        found = [
            _read_line(photo, line, text, confidence)
            for line, (text, confidence) in zip(lines, texts, strict=True)
            if text.strip() and confidence >= MIN_CONFIDENCE
        ]
        return tuple(found)

    async def _upright(self, lines: Sequence[Line], timeout_s: float | None) -> list[Line]:
        """Turn the lines that are upside down."""
        images = await self._compute(_orientation_images, lines)
        answer = await self._engine.run(TEXT_ORIENTATION, images, timeout_s)
        is_turned = answer[UPSIDE_DOWN_OUTPUT][:, 0] > SURELY_UPSIDE_DOWN
        return [
            line.turned() if turn else line for line, turn in zip(lines, is_turned, strict=True)
        ]

    async def _recognised(
        self, lines: Sequence[Line], timeout_s: float | None
    ) -> list[tuple[str, float]]:
        """Text and confidence of each line; one call for all lines of one padded width."""
        groups = by_padded_width(lines)
        batches = await self._compute(_recognition_images, lines, groups)
        answers = await asyncio.gather(
            *(self._engine.run(TEXT_RECOGNISER, batch, timeout_s) for batch in batches)
        )
        texts = [("", 0.0)] * len(lines)
        for group, answer in zip(groups, answers, strict=True):
            for row, position in enumerate(group):
                texts[position] = decode(
                    answer[SYMBOLS_OUTPUT][row], answer[CONFIDENCES_OUTPUT][row], self._alphabet
                )
        return texts

    async def _compute(self, function: Callable[..., Result], *arguments: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, function, *arguments)


def open_reader(
    repository: ModelRepository, engine: Engine, workers: Executor | None = None
) -> Reader:
    """Open the reader of a model repository.

    Args:
        repository: the model repository.
        engine: opened on this repository with ``READER_MODELS``.
        workers: threads for what is computed outside of the engine; None for the event loop's.

    Raises:
        ModelRepositoryError: if the models are not exported, or the alphabet is damaged.
    """
    return Reader(engine, read_alphabet(repository), workers, digest=reader_digest(repository))


def reader_digest(repository: ModelRepository) -> str:
    """Digest of the reader's models and of the rules by which it reads.

    Args:
        repository: the model repository, which has the reader.

    Raises:
        ModelRepositoryError: if a model is missing.
    """
    digests = [repository.image_model(name).digest for name in READER_MODELS]
    return hashlib.sha256(" ".join([READING, *digests]).encode()).hexdigest()


def compile_reader() -> None:
    """Compile what finds boxes, or load it from numba's cache, so that no photo has to wait."""
    text_map = np.zeros((MAP_STEP, MAP_STEP), np.uint8)
    text_map[8:16, 4:28] = 255
    photo = np.zeros((MAP_STEP, MAP_STEP, 3), np.uint8)
    _lines(resized(photo, MAP_STEP, MAP_STEP), text_map)


def detector_image(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring a photo to the size at which text is detected.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        The same image, its height and width multiples of 32. Its shorter side is about
        ``SHORTER_SIDE``, unless the longer one reaches ``LONGEST_SIDE``.
    """
    height, width, _ = pixels.shape
    scale = min(SHORTER_SIDE / min(width, height), LONGEST_SIDE / max(width, height))
    columns, rows = (
        max(MAP_STEP, round(int(side * scale) / MAP_STEP) * MAP_STEP) for side in (width, height)
    )
    if (columns, rows) == (width, height):
        return pixels
    if scale >= 1:
        return resized(pixels, columns, rows)
    # several pixels become one, and all of them count
    return np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR))


def _countdown(timeout_s: float | None) -> Callable[[], float | None]:
    """Make a function that tells the seconds left.

    It raises an ``EngineDeadlineError`` if there are none.
    """
    if timeout_s is None:
        return lambda: None
    deadline = time.monotonic() + timeout_s

    def remaining_s() -> float:
        if (left_s := deadline - time.monotonic()) <= 0:
            raise EngineDeadlineError("The deadline passed while the photo was read.")
        return left_s

    return remaining_s


def _lines(pixels: NDArray[np.uint8], text_map: NDArray[np.uint8]) -> list[Line]:
    """Cut out the lines that a text map shows on a photo."""
    height, width, _ = pixels.shape
    return cut_lines(pixels, find_boxes(text_map, width, height))


def _orientation_images(lines: Sequence[Line]) -> NDArray[np.uint8]:
    return np.stack([line.for_orientation() for line in lines])


def _recognition_images(
    lines: Sequence[Line], groups: Sequence[Sequence[int]]
) -> list[NDArray[np.uint8]]:
    """One batch of padded lines for each group of positions."""
    return [np.stack([lines[position].for_recognition() for position in group]) for group in groups]


def _read_line(photo: Photo, line: Line, text: str, confidence: float) -> ReadLine:
    height, width, _ = photo.pixels.shape
    corners = line.corners * (photo.width / width, photo.height / height)
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    return ReadLine(text, confidence, (first, second, third, fourth))
