"""Letters without their accents, and the apostrophes of shops."""

from __future__ import annotations

import re
import unicodedata
from itertools import filterfalse

APOSTROPHES = re.compile("['’‘`´ʼ＇]")


def without_accents(text: str) -> str:
    """Remove accents: compatibility-decompose a text (NFKD) and drop the combining characters."""
    plain = unicodedata.normalize("NFKD", text)
    if plain.isascii():
        return plain
    return "".join(filterfalse(unicodedata.combining, plain))
