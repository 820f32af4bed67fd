"""The contract with Triton: a model's local ``config.pbtxt`` must equal Triton's metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.models.model_repository import CONFIG_FILE

Tensors = dict[str, tuple[str, tuple[int, ...]]]  # data type and dims by tensor name


@dataclass(frozen=True)
class EnsembleTensors:
    """The names of an ensemble's tensors.

    Attributes:
        image: name of the input.
        outputs: by model name, the names of the ensemble's outputs by those of the model's.
    """

    image: str
    outputs: Mapping[str, Mapping[str, str]]


def ensemble_tensors(
    config: model_config_pb2.ModelConfig, models: Sequence[ModelFolder]
) -> EnsembleTensors:
    """The names of an ensemble's tensors, from its configuration.

    Raises:
        ModelRepositoryError: if the ensemble takes no batches, has no input or several, or has no
            output for the descriptor or the fingerprint of one of its models.
    """
    outputs = {step.model_name: dict(step.output_map) for step in config.ensemble_scheduling.step}
    actual = {output.name for output in config.output}
    expected = {
        outputs[model.name].get(output.name, "") for model in models for output in model.outputs
    }
    if config.max_batch_size < 1 or len(config.input) != 1 or not actual >= expected:
        raise ModelRepositoryError(
            f"The {CONFIG_FILE} of {config.name} must take batches (max_batch_size) of one input "
            f"and have outputs for the descriptor and the fingerprint of each of "
            f"{[model.name for model in models]}. Export it again with: beauty-export onnx"
        )
    return EnsembleTensors(config.input[0].name, outputs)


def require_same_model(
    config: model_config_pb2.ModelConfig,
    version: str | None,
    served: service_pb2.ModelMetadataResponse,
    url: str,
) -> None:
    """Refuse a served model that differs from the model in the local repository.

    Args:
        config: configuration of the model in the local repository.
        version: its newest version there; None for an ensemble, whose versions are empty.
        served: Triton's metadata of the model.
        url: Triton's address, for the message.

    Raises:
        ModelRepositoryError: naming the model and the difference.
    """
    newest = max(served.versions, key=int, default=None)
    pairs: list[tuple[object, object]] = [
        (_configured(config, config.input), _served(served.inputs)),
        (_configured(config, config.output), _served(served.outputs)),
    ]
    if version is not None:
        pairs.append((f"version {version}", f"version {newest}"))
    for local, remote in pairs:
        if local != remote:
            raise ModelRepositoryError(
                f"Triton at {url} serves the model {config.name} with {remote}; in the local model "
                f"repository it has {local}. Give both the same repository."
            )


def _configured(config: model_config_pb2.ModelConfig, tensors: Iterable[Any]) -> Tensors:
    """The tensors of ``config.pbtxt``, in the form of Triton's metadata."""
    batch = (-1,) if config.max_batch_size > 0 else ()
    return {
        tensor.name: (
            model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_"),
            (*batch, *tensor.dims),
        )
        for tensor in tensors
    }


def _served(tensors: Iterable[Any]) -> Tensors:
    """The tensors of Triton's metadata."""
    return {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in tensors}
