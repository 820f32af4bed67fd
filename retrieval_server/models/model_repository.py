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
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import triton_to_np_dtype

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.profile import READERS
from retrieval_server.storage.digest import file_digest

IMAGE_INPUT = "image"
DESCRIPTOR_OUTPUT = "descriptor"
FINGERPRINT_OUTPUT = "fingerprint"
FINGERPRINT_WORDS = 8  # a SHA-256 as 8 int32
FREE = -1  # the length of an axis that differs between images
CONFIG_FILE = "config.pbtxt"
MODEL_FILE = "model.onnx"
EXPORT = (
    f"beauty-export onnx --profile PROFILE (with --reader {READERS[0]} for the models of a reader)"
)


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a model, as its configuration describes it for one image.

    Attributes:
        name: name of the tensor.
        data_type: type of its numbers, as Triton names it, such as ``UINT8``.
        dims: lengths of its axes; ``FREE`` for one that differs between images.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.data_type} {list(self.dims)}"

    def no_rows(self) -> NDArray[Any]:
        """The batch of no images."""
        return np.empty((0, *(max(dim, 0) for dim in self.dims)), self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers, as numpy names it."""
        dtype: np.dtype[Any] = np.dtype(triton_to_np_dtype(self.data_type))
        return dtype

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is a batch of such tensors."""
        return len(shape) == 1 + len(self.dims) and all(
            dim in {FREE, length} for dim, length in zip(self.dims, shape[1:], strict=True)
        )


@dataclass(frozen=True)
class ImageModel:
    """A model of the repository, which maps each image of a batch to one row of each output.

    Attributes:
        name: name of the folder and of the model.
        onnx_path: ONNX file of the newest version.
        image: the input, uint8 [H, W, 3].
        outputs: the outputs, one of them the fingerprint [8] of the weights.
    """

    name: str
    onnx_path: Path
    image: Tensor
    outputs: tuple[Tensor, ...]

    @property
    def answers(self) -> tuple[Tensor, ...]:
        """The outputs that describe an image: all but the fingerprint."""
        return tuple(output for output in self.outputs if not is_fingerprint(output))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the ONNX file, hexadecimal; identifies the model in an index's manifest.

        Raises:
            ModelRepositoryError: if the file cannot be read.
        """
        try:
            return file_digest(self.onnx_path)
        except OSError as error:
            raise _no_onnx_file(self) from error


@dataclass(frozen=True)
class ModelFolder(ImageModel):
    """One backbone of the repository: a square image → a descriptor and a fingerprint."""

    @property
    def side(self) -> int:
        """Height and width in pixels of the images that the model takes."""
        return self.image.dims[0]

    @property
    def dimension(self) -> int:
        """C, length of a descriptor."""
        return self.outputs[0].dims[0]

    @property
    def input_name(self) -> str:
        """Name of the image tensor."""
        return self.image.name

    @property
    def output_name(self) -> str:
        """Name of the descriptor tensor."""
        return self.outputs[0].name

    @property
    def fingerprint_name(self) -> str:
        """Name of the tensor that identifies the weights, (B, 8) int32."""
        return self.outputs[1].name


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
                raise _no_onnx_file(member)
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


def is_fingerprint(tensor: Tensor) -> bool:
    """Whether an output of a model is the fingerprint of its weights."""
    return tensor.data_type == "INT32" and tensor.dims == (FINGERPRINT_WORDS,)


def _type_name(data_type: int) -> str:
    name: str = model_config_pb2.DataType.Name(data_type)
    return name.removeprefix("TYPE_")


def _no_onnx_file(model: ImageModel) -> ModelRepositoryError:
    return ModelRepositoryError(
        f"Model {model.name} has no {model.onnx_path}. Export it with: {EXPORT}"
    )
