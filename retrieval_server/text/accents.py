"""Letters without their accents, and the apostrophes of shops."""

from __future__ import annotations

import re
import unicodedata

APOSTROPHES = re.compile("['’‘`´ʼ＇]")


def without_accents(text: str) -> str:
    """Remove accents: compatibility-decompose a text (NFKD) and drop the combining characters."""
    plain = unicodedata.normalize("NFKD", text)
    if plain.isascii():
        return plain
    return "".join(character for character in plain if not unicodedata.combining(character))
