"""How far the reader and the library of its models agree on the same photos.

The library is told to detect text at the reader's size, and to pad each line by itself: by default
it pads a line to the widest of six, so what it reads in a line depends on the lines beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from benchmarks.reading_peer import PeerReading, read_by_peer
from retrieval_server.engines.engine import Engine
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.photo import Photo
from retrieval_server.models.reader import TEXT_DETECTOR, TEXT_MAP_OUTPUT, read_alphabet
from retrieval_server.reading.boxes import find_boxes
from retrieval_server.reading.reader import SHORTER_SIDE, Reader, detector_image

SAME_SETTINGS = {"det_limit_side_len": SHORTER_SIDE, "rec_batch_num": 1}
SAME_LINE = 6.0  # pixels between the centres of two boxes


@dataclass(frozen=True)
class Agreement:
    """Counts over some photos.

    Attributes:
        offsets: for each box of the library, the largest difference of a coordinate from the
            nearest of ours, in pixels of the photo.
        further_boxes: number of our boxes beyond those of the library.
        characters: number of characters that the library reads.
        same_characters: how many of these ours reads in the same order in the same line.
    """

    offsets: NDArray[np.float64]
    further_boxes: int
    characters: int
    same_characters: int

    def boxes_within(self, pixels: float) -> float:
        """The share of the library's boxes that differ from ours by at most so many pixels."""
        return float((self.offsets <= pixels).mean())

    @property
    def character_share(self) -> float:
        """The share of the library's characters that ours reads, too."""
        return self.same_characters / self.characters


async def agreement(
    engine: Engine, repository: ModelRepository, photos: Sequence[Photo]
) -> Agreement:
    """Read photos by both.

    Args:
        engine: opened with the models of the reader.
        repository: where they are.
        photos: the photos; those that the reader reduces for the detector are reduced before, as
            the library reduces none.
    """
    reader = Reader(engine, read_alphabet(repository))
    images = [_not_reduced(photo.pixels) for photo in photos]
    theirs = read_by_peer(images, SAME_SETTINGS)
    offsets: list[float] = []
    further = same = 0
    for image, reading in zip(images, theirs, strict=True):
        height, width, _ = image.shape
        answer = await engine.run(TEXT_DETECTOR, detector_image(image)[None])
        boxes = find_boxes(answer[TEXT_MAP_OUTPUT][0], width, height)
        offsets += [_offset(box, boxes) for box in reading.boxes]
        further += max(0, len(boxes) - len(reading.boxes))
        lines = await reader.read(Photo(image, width, height))
        corners = np.array([line.corners for line in lines])
        same += _same_characters(reading, [line.text for line in lines], corners)
    return Agreement(
        offsets=np.array(offsets),
        further_boxes=further,
        characters=sum(len(text) for reading in theirs for text in reading.texts),
        same_characters=same,
    )


def library_stability(photos: Sequence[Photo]) -> float:
    """The share of its characters that the library reads again if each photo moves by one pixel.

    Args:
        photos: the photos.
    """
    images = [_not_reduced(photo.pixels) for photo in photos]
    readings = read_by_peer(images, SAME_SETTINGS)
    moved = read_by_peer([np.roll(image, 1, axis=1) for image in images], SAME_SETTINGS)
    same = sum(
        _same_characters(reading, other.texts, other.corners)
        for reading, other in zip(readings, moved, strict=True)
    )
    return same / sum(len(text) for reading in readings for text in reading.texts)


def _not_reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return detector_image(pixels) if min(pixels.shape[:2]) > SHORTER_SIDE else pixels


def _offset(box: NDArray[np.float64], boxes: NDArray[np.int32]) -> float:
    """The largest difference of a coordinate from the nearest box."""
    differences = np.abs(boxes - box).max(axis=(1, 2), initial=0)
    return float(differences.min(initial=np.inf))


def _same_characters(
    theirs: PeerReading, other_texts: Sequence[str], other_corners: NDArray[np.float64]
) -> int:
    same = 0
    for text, corners in zip(theirs.texts, theirs.corners, strict=True):
        for other_text, others in zip(other_texts, other_corners, strict=True):
            distance = others.mean(axis=0) - corners.mean(axis=0)
            if np.linalg.norm(distance) <= SAME_LINE:
                blocks = SequenceMatcher(None, text, other_text, autojunk=False)
                same += sum(block.size for block in blocks.get_matching_blocks())
                break
    return same
