"""The text of a line from its symbols, by the rule of CTC.

The recogniser gives one symbol for each step along the line. Equal symbols in a row are one
character, and a blank between them makes them two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import EngineError
from retrieval_server.models.reader import BLANK, EXPORT_READER


def decode(
    symbols: NDArray[np.int32], confidences: NDArray[np.float32], alphabet: Sequence[str]
) -> tuple[str, float]:
    """Decode one line.

    Args:
        symbols: (T,) the most likely symbol of each step.
        confidences: (T,) its probability.
        alphabet: text of each symbol.

    Returns:
        The text, and the mean confidence of its characters; an empty text and 0 if it has none.

    Raises:
        EngineError: if a symbol is not in the alphabet.
    """
    is_new = np.concatenate([[True], symbols[1:] != symbols[:-1]])[: len(symbols)]
    is_character = is_new & (symbols != BLANK)
    characters = symbols[is_character]
    if not characters.size:
        return "", 0.0
    if characters.min() < 0 or characters.max() >= len(alphabet):
        raise EngineError(
            f"The recogniser gave a symbol that its alphabet of {len(alphabet)} does not have. "
            f"Export the reader again with: {EXPORT_READER}"
        )
    text = "".join(alphabet[symbol] for symbol in characters)
    return text, float(confidences[is_character].mean(dtype=np.float64))
