"""Text from symbols, by the rule of CTC."""

import numpy as np
import pytest

from retrieval_server.errors import EngineError
from retrieval_server.reading.characters import decode

ALPHABET = ("", "a", "b", "é")


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ([1, 1, 2, 2, 2], "ab"),
        ([0, 1, 0, 1, 0], "aa"),
        ([1, 0, 0, 3, 3, 0, 2], "aéb"),
        ([0, 0, 0], ""),
        ([], ""),
        ([2], "b"),
    ],
)
def test_equal_symbols_in_a_row_are_one_character(symbols: list[int], text: str) -> None:
    confidences = np.full(len(symbols), 0.75, np.float32)
    decoded, confidence = decode(np.array(symbols, np.int32), confidences, ALPHABET)
    assert decoded == text
    assert confidence == (0.75 if text else 0)


def test_confidence_is_the_mean_over_the_first_step_of_each_character() -> None:
    symbols = np.array([0, 1, 1, 0, 2], np.int32)
    confidences = np.array([0.9, 0.5, 0.1, 0.9, 1.0], np.float32)
    assert decode(symbols, confidences, ALPHABET) == ("ab", 0.75)


@pytest.mark.parametrize("symbol", [4, -1])
def test_symbol_that_the_alphabet_does_not_have_is_an_error(symbol: int) -> None:
    with pytest.raises(EngineError, match=r"alphabet of 4.*beauty-export onnx --reader"):
        decode(np.array([1, symbol], np.int32), np.ones(2, np.float32), ALPHABET)
