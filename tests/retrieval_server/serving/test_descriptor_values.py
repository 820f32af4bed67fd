"""The values of descriptors, read from a message."""

import numpy as np
import pytest

from retrieval_server.serving.calls.descriptor_values import values_by_model
from retrieval_server.v1 import retrieval_pb2 as pb

UNKNOWN_FIELD = bytes([9 << 3 | 5, 0, 0, 128, 63])  # number 9, the float 1.0


@pytest.mark.parametrize("count", [0, 1, 31, 32, 2048])
@pytest.mark.parametrize("further", [b"", UNKNOWN_FIELD], ids=["known", "with an unknown field"])
def test_values_are_those_that_were_sent(count: int, further: bytes) -> None:
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    values[: count // 16] = np.nan
    sent = pb.Descriptor(values=values.tolist()).SerializeToString() + further
    message = pb.Descriptors(by_model={"a": pb.Descriptor.FromString(sent), "b": pb.Descriptor()})
    found = values_by_model(message)
    assert found["a"].dtype == np.float32
    assert found["a"].tobytes() == values.tobytes()
    assert found["b"].tolist() == []


def test_values_that_are_not_packed_are_read_too() -> None:
    sent = b"".join(bytes([1 << 3 | 5]) + np.float32(value).tobytes() for value in (0.5, -1, 3))
    message = pb.Descriptors(by_model={"a": pb.Descriptor.FromString(sent)})
    assert values_by_model(message)["a"].tolist() == [0.5, -1, 3]
