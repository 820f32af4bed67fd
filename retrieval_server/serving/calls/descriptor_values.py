"""The values of descriptors in a message, as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval_server.v1 import retrieval_pb2 as pb

_VALUE = np.dtype("<f4")  # of the wire format


def values_by_model(descriptors: pb.Descriptors) -> dict[str, NDArray[np.float32]]:
    """The values of descriptors, (C,) by model name.

    Args:
        descriptors: the message; it loses fields that this program does not know.
    """
    return {model: _values(descriptor) for model, descriptor in descriptors.by_model.items()}


def _values(descriptor: pb.Descriptor) -> NDArray[np.float32]:
    """The values, which are the end of the message; to read them one by one takes 40 times as long.

    Args:
        descriptor: the message.
    """
    descriptor.DiscardUnknownFields()  # these would come behind the values
    size = _VALUE.itemsize * len(descriptor.values)
    message = descriptor.SerializeToString()
    return np.frombuffer(message[len(message) - size :], _VALUE).astype(np.float32)
