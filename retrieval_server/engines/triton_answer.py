"""The answer of an ensemble: descriptors, and the fingerprints of the weights that computed them.

Two sets of weights can have equal names, versions and shapes. A Triton may load other weights at
any time, and several Tritons may share one address. So each answer must have the fingerprints of
the first answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferRequestedOutput, InferResult

from retrieval_server.engines.triton_contract import EnsembleTensors
from retrieval_server.errors import EngineError, ModelMismatchError
from retrieval_server.models.model_repository import FINGERPRINT_WORDS, ModelFolder

Number = TypeVar("Number", np.float32, np.int32)


class AnswerReader:
    """Reads the descriptors from a Triton's answers, and checks the fingerprints.

    Args:
        models: the backbones of the ensemble.
        tensors: the names of the ensemble's tensors.
        url: Triton's address, for messages.
    """

    def __init__(self, models: Sequence[ModelFolder], tensors: EnsembleTensors, url: str) -> None:
        self._models = models
        self._tensors = tensors
        self._url = url
        self._expected: dict[str, bytes] = {}  # fingerprints of the first answer, by model name

    @property
    def outputs(self) -> list[InferRequestedOutput]:
        """The outputs that a request must ask for."""
        names = (*self._tensors.descriptors.values(), *self._tensors.fingerprints.values())
        return [InferRequestedOutput(name) for name in names]

    def descriptors(self, answer: InferResult, rows: int) -> dict[str, NDArray[np.float32]]:
        """Read the descriptors of an answer, after a check of its fingerprints.

        Args:
            answer: Triton's answer to a request for ``outputs``.
            rows: B, the number of images that were sent.

        Returns:
            (B, C) float32 by model name.

        Raises:
            EngineError: if an output is missing, or has another shape or type than expected.
            ModelMismatchError: if other weights computed this answer than the first one.
        """
        for model in self._models:
            shape = (rows, FINGERPRINT_WORDS)
            name = self._tensors.fingerprints[model.name]
            self._check_fingerprint(model, self._array(answer, model, name, np.int32, shape))
        return {
            model.name: self._array(
                answer,
                model,
                self._tensors.descriptors[model.name],
                np.float32,
                (rows, model.dimension),
            )
            for model in self._models
        }

    def _check_fingerprint(self, model: ModelFolder, fingerprints: NDArray[np.int32]) -> None:
        for fingerprint in fingerprints:
            actual = fingerprint.tobytes()
            expected = self._expected.setdefault(model.name, actual)
            if actual != expected:
                raise ModelMismatchError(
                    f"Triton at {self._url} now computes {model.name} with other weights than "
                    f"before (fingerprint {actual.hex()[:12]} instead of {expected.hex()[:12]}). "
                    "Let it serve the model repository of the index, or serve an index of the new "
                    "models."
                )

    def _array(
        self,
        answer: InferResult,
        model: ModelFolder,
        output: str,
        dtype: type[Number],
        shape: tuple[int, int],
    ) -> NDArray[Number]:
        try:
            array: NDArray[Number] | None = answer.as_numpy(output)
        except ValueError as error:  # fewer bytes than the shape needs
            raise EngineError(
                f"Triton at {self._url} sent an incomplete {output} of {model.name}: {error}."
            ) from error
        if array is None or (array.dtype, array.shape) != (np.dtype(dtype), shape):
            actual = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise EngineError(
                f"Triton at {self._url} sent {actual} as {output} of {model.name} instead of "
                f"{np.dtype(dtype)} {shape}."
            )
        return array
