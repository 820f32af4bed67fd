"""The sets of values hold what numpy finds among the same values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.filters.lookup import CodeSet, NumberSet, _tables_of

FLOATS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.0, 2.0])


@given(
    wanted=st.lists(FLOATS, min_size=1, max_size=200),
    others=st.lists(FLOATS | st.just(math.nan), max_size=50),
)
def test_set_of_numbers_holds_its_numbers_alone(wanted: list[float], others: list[float]) -> None:
    numbers = np.array([*others, *wanted, math.nan, 0.0, -0.0])
    held = NumberSet(np.array(wanted)).holds(numbers)
    assert held.tolist() == [number in wanted for number in numbers.tolist()]


def test_number_of_other_bits_than_nan_is_in_no_set() -> None:
    payloads = np.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001], np.uint64)
    assert not NumberSet(np.array([1.0])).holds(payloads.view(np.float64)).any()


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 1000])
def test_numbers_with_few_different_bits_are_placed(count: int) -> None:
    for numbers in (np.arange(float(count)), np.arange(count) / 4 - 7, 2.0 ** -np.arange(count)):
        assert NumberSet(numbers).holds(numbers).all()
        assert not NumberSet(numbers).holds(numbers + 1e-9 * (1 + np.abs(numbers))).any()


def test_numbers_that_share_both_places_get_other_places() -> None:
    wanted = np.random.default_rng(4).normal(size=5000)
    tables, multipliers = _tables_of(wanted[:5].view(np.uint64))
    shift = np.uint64(64 - int(math.log2(tables.shape[1])))
    places = (wanted.view(np.uint64)[:, None] * multipliers) >> shift
    sharing = wanted[(places == places[0]).all(axis=1)][:5]
    assert len(sharing) == 5
    assert _tables_of(sharing.view(np.uint64))[0].shape[1] > tables.shape[1]
    assert NumberSet(sharing).holds(wanted).tolist() == np.isin(wanted, sharing).tolist()


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 2), (np.uint8, 255), (np.uint16, 256), (np.uint32, 70_000)]
)
@pytest.mark.parametrize("count", [0, 1, 200])
def test_set_of_codes_holds_its_codes_alone(dtype: type, largest: int, count: int) -> None:
    rng = np.random.default_rng(largest)
    codes = rng.integers(0, largest + 1, 5000).astype(dtype)
    wanted = rng.integers(0, largest + 1, count)
    assert CodeSet(wanted, largest).holds(codes).tolist() == np.isin(codes, wanted).tolist()


def test_damaged_code_counts_as_the_largest() -> None:
    codes = np.array([0, 3, 4, 2**32 - 1], np.uint32)
    assert CodeSet(np.array([3]), 3).holds(codes).tolist() == [False, True, True, True]
    assert CodeSet(np.array([0]), 3).holds(codes).tolist() == [True, False, False, False]
