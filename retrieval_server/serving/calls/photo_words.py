"""Reads the words on the photos of a request, as far as the caller's time allows.

A search does not fail because of them: where they cannot be read in time, it goes on without, and
its answer says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    ModelMismatchError,
    ModelRepositoryError,
)
from retrieval_server.models.photo import Photo
from retrieval_server.models.profile import Profile
from retrieval_server.reading.reader import Reader, ReadLine
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.turns import Turns
from retrieval_server.v1 import retrieval_pb2 as pb

TIME_SHARE = 0.8  # of what is left; the rest is for ranking


def text_weight_of(request: pb.SearchRequest, profile: Profile) -> float:
    """β of a request: its own, or the profile's."""
    return request.text_weight if request.HasField("text_weight") else profile.text_weight


@dataclass(frozen=True)
class PhotoLine:
    """A line of text on one of the photos of a search.

    Attributes:
        photo: number of the photo, from 0.
        line: what was read, and where.
    """

    photo: int
    line: ReadLine


@dataclass(frozen=True)
class PhotoWords:
    """What was read on the photos of a search.

    Attributes:
        lines: by photo, and from top to bottom.
        warning: why nothing was read; empty if the photos were read.
        read_us: how long reading took, in microseconds.
    """

    lines: tuple[PhotoLine, ...] = ()
    warning: str = ""
    read_us: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each line."""
        return tuple(read.line.text for read in self.lines)


NOT_READ = PhotoWords()


async def read_photos(
    reader: Reader, photos: Sequence[Photo], deadline: Deadline, turns: Turns
) -> PhotoWords:
    """Read photos.

    Args:
        reader: reads them.
        photos: of one search.
        deadline: of the search.
        turns: the photos that may be read at once.
    """

    async def read_in_turn(photo: Photo) -> Sequence[ReadLine]:
        async with turns.taken():
            return await reader.read(photo, timeout_s)

    started = time.perf_counter_ns()
    remaining_s = deadline.remaining_s
    timeout_s = None if remaining_s is None else TIME_SHARE * remaining_s
    try:
        async with asyncio.timeout(timeout_s):
            read = await asyncio.gather(*map(read_in_turn, photos))
    except (TimeoutError, EngineDeadlineError):
        return PhotoWords(warning="The words on the photo were not read: there was no time for it.")
    except (EngineError, ModelMismatchError, ModelRepositoryError) as error:
        return PhotoWords(warning=f"The words on the photo were not read: {error}")
    lines = tuple(PhotoLine(photo, line) for photo, lines in enumerate(read) for line in lines)
    return PhotoWords(lines, read_us=(time.perf_counter_ns() - started) // 1000)
