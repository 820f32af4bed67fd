"""The model repository: the folder that Triton serves and the embedded engine reads.

::

    model_repository/
      densenet201_grmac/     one backbone with its pooling
        config.pbtxt         the contract: tensor names, dims, batching
        configs/             the contract for a GPU, for `tritonserver --model-config-name`
        1/model.onnx         image (B, S, S, 3) uint8 → descriptor (B, C) float32 and the
                             fingerprint (B, 8) int32 of the weights
      paper/                 the profile's ensemble: image → outputs of all its backbones
        config.pbtxt
        1/                   empty; Triton requires it

The names and dims of tensors are written in ``config.pbtxt`` only; this module reads them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import (
    EXPORT,
    FINGERPRINT_WORDS,
    ImageModel,
    ModelFolder,
    Tensor,
    is_fingerprint,
    no_onnx_file,
)

CONFIG_FILE = "config.pbtxt"
MODEL_FILE = "model.onnx"


class ModelRepository:
    """Reads a model repository.

    Args:
        root: folder of the repository.

    Raises:
        ModelRepositoryError: if the root is not a folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ModelRepositoryError(
                f"There is no model repository at {root}. Make one with: "
                "beauty-export onnx --profile PROFILE"
            )
        self.root = root

    def config(self, name: str) -> model_config_pb2.ModelConfig:
        """Read a model's ``config.pbtxt``.

        Raises:
            ModelRepositoryError: if the file is missing, damaged, or names another model.
        """
        path = self.root / name / CONFIG_FILE
        try:
            config = text_format.Parse(
                path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig()
            )
        except FileNotFoundError as error:
            known = sorted(folder.parent.name for folder in self.root.glob(f"*/{CONFIG_FILE}"))
            raise ModelRepositoryError(
                f"The model repository {self.root} has no model {name!r}; it has {known}. "
                f"Export it with: {EXPORT}"
            ) from error
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise ModelRepositoryError(f"Cannot read {path}: {error}") from error
        if config.name != name:
            raise ModelRepositoryError(f"{path} names the model {config.name!r}, not {name!r}.")
        return config

    def image_model(self, name: str) -> ImageModel:
        """Read the folder and the configuration of any model of images.

        Raises:
            ModelRepositoryError: if the model is missing, or does not map batches of images.
        """
        inputs, outputs = self._tensors(name)
        match inputs:
            case [Tensor(data_type="UINT8", dims=(_, _, 3)) as image] if (
                self.config(name).max_batch_size > 0
            ):
                return ImageModel(name, self._newest_version(name) / MODEL_FILE, image, outputs)
        raise self._other_tensors(name, "batches of images [H, W, 3] to outputs")

    def model(self, name: str) -> ModelFolder:
        """Read one backbone's folder and configuration.

        Raises:
            ModelRepositoryError: if the model is missing, or does not map one image to one
                descriptor and one fingerprint.
        """
        inputs, outputs = self._tensors(name)
        match inputs, outputs:
            case (
                [Tensor(data_type="UINT8", dims=(height, width, 3)) as image],
                [Tensor(data_type="FP32", dims=(dimension,)), fingerprint],
            ) if height == width > 0 and dimension > 0 and is_fingerprint(fingerprint):
                return ModelFolder(name, self._newest_version(name) / MODEL_FILE, image, outputs)
        raise self._other_tensors(
            name,
            f"one image [S, S, 3] to one descriptor [C] and one fingerprint [{FINGERPRINT_WORDS}]",
        )

    def ensemble(self, name: str) -> tuple[ModelFolder, ...]:
        """Read the backbones of a profile's ensemble, in the ensemble's order.

        Raises:
            ModelRepositoryError: if the ensemble is missing, the model is not an ensemble, or its
                members take images of different sizes.
        """
        steps = self.config(name).ensemble_scheduling.step
        members = tuple(self.model(step.model_name) for step in steps)
        if not members or len({member.side for member in members}) != 1:
            sides = {member.name: member.side for member in members}
            raise ModelRepositoryError(
                f"{self.root / name / CONFIG_FILE} must be an ensemble of models that take images "
                f"of one size; got {sides}."
            )
        return members

    def copy_ensemble(self, name: str, output: Path) -> tuple[ModelFolder, ...]:
        """Copy a profile's ensemble and its backbones to a new folder.

        `tritonserver --model-control-mode=none` loads every model of its repository and exits if
        one is incomplete. So a container image must hold the models of one profile only.

        Args:
            name: name of the profile.
            output: folder to make.

        Returns:
            The backbones, in the ensemble's order.

        Raises:
            ModelRepositoryError: if a model is missing or has no ONNX file, or the output exists.
        """
        members = self.ensemble(name)
        for member in members:
            if not member.onnx_path.is_file():
                raise no_onnx_file(member)
        if output.exists():
            raise ModelRepositoryError(f"{output} exists. Name a folder that does not.")
        for folder in (name, *(member.name for member in members)):
            shutil.copytree(self.root / folder, output / folder)
        return ModelRepository(output).ensemble(name)

    def _tensors(self, name: str) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The inputs and the outputs of a model."""
        config = self.config(name)
        inputs, outputs = (
            tuple(
                Tensor(tensor.name, _type_name(tensor.data_type), tuple(tensor.dims))
                for tensor in tensors
            )
            for tensors in (config.input, config.output)
        )
        return inputs, outputs

    def _other_tensors(self, name: str, expected: str) -> ModelRepositoryError:
        inputs, outputs = (", ".join(map(str, tensors)) for tensors in self._tensors(name))
        return ModelRepositoryError(
            f"{self.root / name / CONFIG_FILE} must map {expected}, not {inputs or 'nothing'} to "
            f"{outputs or 'nothing'}. Export it again with: beauty-export onnx"
        )

    def _newest_version(self, name: str) -> Path:
        versions = [
            folder
            for folder in (self.root / name).iterdir()
            if folder.is_dir() and folder.name.isdecimal()
        ]
        return max(versions, key=lambda folder: int(folder.name), default=self.root / name / "1")


def _type_name(data_type: int) -> str:
    name: str = model_config_pb2.DataType.Name(data_type)
    return name.removeprefix("TYPE_")
