"""How far the reader and the library of its models agree on the same images.

The images have the size at which text is detected already, so both give the same pixels to the
detector. What differs then is the arithmetic: the library works in whole pixels, scales a line
twice, and pads it to the widest of six.
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
from retrieval_server.reading.reader import Reader, detector_image

PEER_SIDE = 736  # pixels; the library enlarges an image whose shorter side is below it
SAME_LINE = 6.0  # pixels between the centres of two boxes


@dataclass(frozen=True)
class Agreement:
    """Counts over some images.

    Attributes:
        offsets: for each box of the library, the largest difference of a coordinate from the
            nearest of ours, in pixels.
        characters: number of characters that the library reads.
        same_characters: how many of these ours reads in the same order in the same line.
    """

    offsets: NDArray[np.float64]
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
        photos: the photos.
    """
    reader = Reader(engine, read_alphabet(repository), shorter_side=PEER_SIDE)
    images = [detector_image(photo.pixels, PEER_SIDE) for photo in photos]
    offsets, characters, same = [], 0, 0
    for image, theirs in zip(images, read_by_peer(images), strict=True):
        height, width, _ = image.shape
        text_map = (await engine.run(TEXT_DETECTOR, image[None]))[TEXT_MAP_OUTPUT][0]
        boxes = np.clip(find_boxes(text_map), 0, (width - 1, height - 1))
        offsets += [_offset(box, boxes) for box in theirs.boxes]
        lines = await reader.read(Photo(image, width, height))
        characters += sum(map(len, theirs.texts))
        corners = np.array([line.corners for line in lines])
        same += _same_characters(theirs, [line.text for line in lines], corners)
    return Agreement(np.array(offsets), characters, same)


def library_stability(photos: Sequence[Photo]) -> float:
    """The share of its characters that the library reads again if each photo moves by one pixel.

    Args:
        photos: the photos.
    """
    images = [detector_image(photo.pixels, PEER_SIDE) for photo in photos]
    readings = read_by_peer(images)
    moved = read_by_peer([np.roll(image, 1, axis=1) for image in images])
    same = sum(
        _same_characters(reading, other.texts, other.corners)
        for reading, other in zip(readings, moved, strict=True)
    )
    return same / sum(len(text) for reading in readings for text in reading.texts)


def _offset(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> float:
    """The largest difference of a coordinate from the nearest box, whichever corner is first."""
    turned = [np.roll(boxes, turns, axis=1) for turns in range(4)]
    differences = np.abs(np.concatenate(turned) - box).max(axis=(1, 2), initial=0)
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
