"""The metadata of an exported model: the source of its weights, and the settings of its export."""

from __future__ import annotations

from pathlib import Path

import onnx

from retrieval_server.errors import ModelRepositoryError


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of an ONNX file.

    Raises:
        ModelRepositoryError: if it is no ONNX file.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError or OSError
        raise ModelRepositoryError(
            f"{path} is no ONNX file ({error}). Delete it, then run: "
            "beauty-export onnx --profile PROFILE"
        ) from error
    return {entry.key: entry.value for entry in model.metadata_props}
