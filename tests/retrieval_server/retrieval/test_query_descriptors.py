"""Descriptors as a query: their order, their norm, and what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server.errors import QueryError
from retrieval_server.retrieval.retriever import Retriever


def unit_descriptors() -> dict[str, NDArray[np.float32]]:
    return {"tiny_a": np.eye(24, dtype=np.float32)[0], "tiny_b": np.eye(16, dtype=np.float32)[1]}


def test_descriptors_are_put_in_the_order_of_the_profile(retriever: Retriever) -> None:
    given_first = unit_descriptors()
    ordered = retriever.check_descriptors(dict(reversed(given_first.items())))
    assert [vector.shape for vector in ordered] == [(24,), (16,)]


def test_zero_descriptor_is_accepted(retriever: Retriever) -> None:
    zero = unit_descriptors() | {"tiny_b": np.zeros(16, np.float32)}
    assert not retriever.check_descriptors(zero)[1].any()


@pytest.mark.parametrize("factor", [0.9995, 1.0005])
def test_norm_may_be_off_by_float32_rounding(retriever: Retriever, factor: float) -> None:
    retriever.check_descriptors({m: v * np.float32(factor) for m, v in unit_descriptors().items()})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"tiny_b": None}, "need exactly the models ['tiny_a', 'tiny_b'], got ['tiny_a']"),
        ({"tiny_c": np.ones(1)}, "got ['tiny_a', 'tiny_b', 'tiny_c']"),
        ({"tiny_a": np.eye(23)[0]}, "tiny_a needs 24 values, got 23"),
        ({"tiny_a": np.empty(0)}, "tiny_a needs 24 values, got 0"),
        ({"tiny_a": np.full(24, np.nan)}, "tiny_a must have L2 norm 1, got nan"),
        ({"tiny_a": np.full(24, np.inf)}, "tiny_a must have L2 norm 1, got inf"),
        ({"tiny_a": np.eye(24)[0] * 1.01}, "tiny_a must have L2 norm 1, got 1.01"),
        ({"tiny_a": np.eye(24)[0] * 1e-30}, "tiny_a must have L2 norm 1, got 1e-30"),
        ({"tiny_a": np.full(24, 3e38)}, "tiny_a must have L2 norm 1, got 1.46969e+39"),
    ],
)
def test_unusable_descriptors_name_the_model_and_what_is_wrong(
    retriever: Retriever, changed: dict[str, NDArray[np.float64] | None], problem: str
) -> None:
    by_model = {
        model: vector.astype(np.float32)
        for model, vector in (unit_descriptors() | changed).items()
        if vector is not None
    }
    with pytest.raises(QueryError) as caught:
        retriever.check_descriptors(by_model)
    assert caught.value.field == "descriptors"
    assert problem in str(caught.value)
