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

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.storage.digest import file_digest

IMAGE_INPUT = "image"
DESCRIPTOR_OUTPUT = "descriptor"
FINGERPRINT_OUTPUT = "fingerprint"
FINGERPRINT_WORDS = 8  # a SHA-256 as 8 int32
CONFIG_FILE = "config.pbtxt"
MODEL_FILE = "model.onnx"


@dataclass(frozen=True)
class ModelFolder:
    """One backbone of the repository.

    Attributes:
        name: name of the folder and of the model.
        onnx_path: ONNX file of the newest version.
        side: height and width in pixels of the images that the model takes.
        dimension: C, length of a descriptor.
        input_name: name of the image tensor.
        output_name: name of the descriptor tensor.
        fingerprint_name: name of the tensor that identifies the weights, (B, 8) int32.
    """

    name: str
    onnx_path: Path
    side: int
    dimension: int
    input_name: str
    output_name: str
    fingerprint_name: str

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
                "Export a profile with: beauty-export onnx --profile PROFILE"
            ) from error
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise ModelRepositoryError(f"Cannot read {path}: {error}") from error
        if config.name != name:
            raise ModelRepositoryError(f"{path} names the model {config.name!r}, not {name!r}.")
        return config

    def model(self, name: str) -> ModelFolder:
        """Read one backbone's folder and configuration.

        Raises:
            ModelRepositoryError: if the model is missing, or does not map one image to one
                descriptor and one fingerprint.
        """
        config = self.config(name)
        inputs, outputs = (
            [list(tensor.dims) for tensor in tensors] for tensors in (config.input, config.output)
        )
        match inputs, outputs:
            case [[height, width, 3]], [[dimension], [words]] if (
                height == width > 0 and dimension > 0 and words == FINGERPRINT_WORDS
            ):
                return ModelFolder(
                    name=name,
                    onnx_path=self._newest_version(name) / MODEL_FILE,
                    side=height,
                    dimension=dimension,
                    input_name=config.input[0].name,
                    output_name=config.output[0].name,
                    fingerprint_name=config.output[1].name,
                )
        raise ModelRepositoryError(
            f"{self.root / name / CONFIG_FILE} must map one image [S, S, 3] to one descriptor [C] "
            f"and one fingerprint [{FINGERPRINT_WORDS}], not {inputs} to {outputs}. Export it "
            "again with: beauty-export onnx"
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

    def _newest_version(self, name: str) -> Path:
        versions = [
            folder
            for folder in (self.root / name).iterdir()
            if folder.is_dir() and folder.name.isdecimal()
        ]
        return max(versions, key=lambda folder: int(folder.name), default=self.root / name / "1")


def _no_onnx_file(model: ModelFolder) -> ModelRepositoryError:
    return ModelRepositoryError(
        f"Model {model.name} has no {model.onnx_path}. Export it with: "
        "beauty-export onnx --profile PROFILE"
    )
