"""The contract with Triton: a model's ``config.pbtxt`` here, and what Triton says of the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.model_repository import CONFIG_FILE, ModelFolder

Tensors = dict[str, tuple[str, tuple[int, ...]]]  # data type and dims by name


@dataclass(frozen=True)
class EnsembleTensors:
    """What an ensemble's tensors are called.

    Attributes:
        image: its input.
        descriptors: its outputs with descriptors, by model name.
        fingerprints: its outputs with fingerprints, by model name.
    """

    image: str
    descriptors: Mapping[str, str]
    fingerprints: Mapping[str, str]


def ensemble_tensors(
    config: model_config_pb2.ModelConfig, models: Sequence[ModelFolder]
) -> EnsembleTensors:
    """The names of an ensemble's tensors.

    Raises:
        ModelRepositoryError: if it has no batches, another number of inputs than one, or does not
            give back the descriptor and the fingerprint of each of its models.
    """
    outputs = {step.model_name: step.output_map for step in config.ensemble_scheduling.step}
    descriptors = {model.name: outputs[model.name].get(model.output_name, "") for model in models}
    fingerprints = {
        model.name: outputs[model.name].get(model.fingerprint_name, "") for model in models
    }
    known = {output.name for output in config.output}
    wanted = {*descriptors.values(), *fingerprints.values()}
    if config.max_batch_size < 1 or len(config.input) != 1 or not known >= wanted:
        raise ModelRepositoryError(
            f"The {CONFIG_FILE} of {config.name} must take batches (max_batch_size) of one input "
            f"and have outputs for the descriptor and the fingerprint of each of "
            f"{list(descriptors)}. Export it again with: beauty-export onnx"
        )
    return EnsembleTensors(config.input[0].name, descriptors, fingerprints)


def require_same_model(
    config: model_config_pb2.ModelConfig,
    version: str | None,
    served: service_pb2.ModelMetadataResponse,
    url: str,
) -> None:
    """Refuse a served model that differs from the one here.

    Args:
        config: of the model here.
        version: the newest one here; None for an ensemble, whose versions are empty.
        served: Triton's metadata of the model.
        url: of Triton, for the message.

    Raises:
        ModelRepositoryError: naming the model and what differs.
    """
    newest = max(served.versions, key=int, default=None)
    pairs: list[tuple[object, object]] = [
        (_configured(config, config.input), _served(served.inputs)),
        (_configured(config, config.output), _served(served.outputs)),
    ]
    if version is not None:
        pairs.append((f"version {version}", f"version {newest}"))
    for here, there in pairs:
        if here != there:
            raise ModelRepositoryError(
                f"Triton at {url} serves the model {config.name} with {there}; in the model "
                f"repository here it has {here}. Let both have the same repository."
            )


def _configured(config: model_config_pb2.ModelConfig, tensors: Iterable[Any]) -> Tensors:
    """What ``config.pbtxt`` says, in the form of Triton's metadata."""
    batch = (-1,) if config.max_batch_size > 0 else ()
    return {
        tensor.name: (
            model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_"),
            (*batch, *tensor.dims),
        )
        for tensor in tensors
    }


def _served(tensors: Iterable[Any]) -> Tensors:
    return {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in tensors}
