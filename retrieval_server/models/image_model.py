"""The models of the repository, as their configurations describe them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.profile import READERS
from retrieval_server.storage.digest import file_digest

IMAGE_INPUT = "image"
DESCRIPTOR_OUTPUT = "descriptor"
FINGERPRINT_OUTPUT = "fingerprint"
FINGERPRINT_WORDS = 8  # a SHA-256 as 8 int32
FREE = -1  # the length of an axis that differs between images
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

    def zeros(self) -> NDArray[Any]:
        """A batch of one row of zeros, for a tensor whose axes have fixed lengths."""
        return np.zeros((1, *self.dims), self.dtype)

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
            raise no_onnx_file(self) from error


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


def is_fingerprint(tensor: Tensor) -> bool:
    """Whether an output of a model is the fingerprint of its weights."""
    return tensor.data_type == "INT32" and tensor.dims == (FINGERPRINT_WORDS,)


def no_onnx_file(model: ImageModel) -> ModelRepositoryError:
    """The error for a model whose ONNX file cannot be read."""
    return ModelRepositoryError(
        f"Model {model.name} has no {model.onnx_path}. Export it with: {EXPORT}"
    )
