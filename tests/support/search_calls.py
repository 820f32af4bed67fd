"""Queries for a served index, and what their answers have in common."""

import io

import grpc
import numpy as np
from PIL import Image

from retrieval_server.index.bundle import IndexBundle
from retrieval_server.v1 import retrieval_pb2 as pb


def photo(seed: int = 0, side: int = 40) -> bytes:
    """White with a coloured square, which tells one seed from the other."""
    generator = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    left, top = generator.integers(0, side // 2, 2)
    pixels[top : top + side // 3, left : left + side // 3] = generator.integers(0, 200, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def descriptors_of(bundle: IndexBundle, row: int) -> pb.Descriptors:
    return pb.Descriptors(
        by_model={
            model: pb.Descriptor(values=database[row].tolist())
            for model, database in zip(bundle.profile.models, bundle.descriptors, strict=True)
        }
    )


def without_times(response: pb.SearchResponse) -> bytes:
    """What two answers to the same query have in common: all of it but these two fields."""
    copy = pb.SearchResponse()
    copy.CopyFrom(response)
    copy.ClearField("timings")
    copy.ClearField("request_id")
    return copy.SerializeToString(deterministic=True)


def trailing(call: grpc.Call) -> dict[str, str]:
    return {str(key): str(value) for key, value in call.trailing_metadata()}
