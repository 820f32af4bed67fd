"""What was read on the image of a product, as the index keeps it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

READ_TABLE = "read"  # name of the string table
NOT_READ = "null"  # entry of a product on whose image the reader failed


class ReadText(NamedTuple):
    """A line of text on an image.

    Attributes:
        text: its characters.
        confidence: mean probability of the characters.
    """

    text: str
    confidence: float


def encode_read(lines: Sequence[ReadText]) -> str:
    """The entry of a product in the table."""
    return json.dumps(
        [[line.text, round(line.confidence, 4)] for line in lines], ensure_ascii=False
    )


def decode_read(entry: str) -> tuple[ReadText, ...]:
    """Read an entry of the table; ``NOT_READ`` has no lines."""
    return tuple(ReadText(text, confidence) for text, confidence in json.loads(entry) or ())
