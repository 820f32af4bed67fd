"""The answers of Triton: arrays, and the fingerprints of the weights that computed them.

Two sets of weights can have equal names, versions and shapes. A Triton may load other weights at
any time, and several Tritons may share one address. So each answer must have the fingerprints of
the first answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferResult

from retrieval_server.errors import EngineError, ModelMismatchError
from retrieval_server.models.image_model import ImageModel, Tensor, is_fingerprint


class AnswerReader:
    """Reads the outputs of models from a Triton's answers, and checks the fingerprints.

    Args:
        url: Triton's address, for messages.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._expected: dict[str, bytes] = {}  # fingerprints of the first answer, by model name

    def arrays(
        self, answer: InferResult, model: ImageModel, names: Mapping[str, str], rows: int
    ) -> dict[str, NDArray[Any]]:
        """Read the outputs of one model, after a check of its fingerprints.

        Args:
            answer: Triton's answer.
            model: the model that computed it, alone or in an ensemble.
            names: names of the answer's outputs, by those of the model's.
            rows: B, the number of images that were sent.

        Returns:
            (B, …) by output name of the model, without the fingerprint.

        Raises:
            EngineError: if an output is missing, or has another shape or type than expected.
            ModelMismatchError: if other weights computed this answer than the first one.
        """
        arrays = {
            output.name: self._array(answer, model, output, names[output.name], rows)
            for output in model.outputs
        }
        for output in filter(is_fingerprint, model.outputs):
            self._check_fingerprint(model, arrays.pop(output.name))
        return arrays

    def _check_fingerprint(self, model: ImageModel, fingerprints: NDArray[np.int32]) -> None:
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
        self, answer: InferResult, model: ImageModel, output: Tensor, name: str, rows: int
    ) -> NDArray[Any]:
        try:
            array: NDArray[Any] | None = answer.as_numpy(name)
        except ValueError as error:  # fewer bytes than the shape needs
            raise EngineError(
                f"Triton at {self._url} sent an incomplete {name} of {model.name}: {error}."
            ) from error
        if (
            array is None
            or array.dtype != output.dtype
            or array.shape[:1] != (rows,)
            or not output.fits(array.shape)
        ):
            actual = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise EngineError(
                f"Triton at {self._url} sent {actual} as {name} of {model.name} instead of "
                f"{output.dtype} {(rows, *output.dims)}."
            )
        return array
