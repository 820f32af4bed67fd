"""The interface of an engine, the connection to Triton, and the check of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import EngineError
from retrieval_server.models.image_model import ImageModel

# What each engine computes in; None for a Triton, whose configuration says it.
PRECISIONS: Mapping[str, str | None] = {
    "embedded": "float32",
    "openvino": "bfloat16",
    "triton": None,
}
ENGINES = tuple(PRECISIONS)


def precisions_agree(left: str | None, right: str | None) -> bool:
    """Whether two values of ``PRECISIONS`` may be one; those of a Triton are not known."""
    return left is None or right is None or left == right


@dataclass(frozen=True, kw_only=True)
class TritonConnection:
    """Address, timeout and credentials of a Triton server.

    Attributes:
        url: ``host:port`` of its gRPC endpoint.
        timeout_s: seconds that a call may take, retries included.
        tls_ca: PEM file of the authority that signed Triton's certificate. Any of the three TLS
            files turns TLS on.
        tls_cert: PEM file of the client's certificate, for a Triton that asks for one.
        tls_key: PEM file of the private key of ``tls_cert``.
        access_key: ``NAME=VALUE`` for a Triton that restricts the inference protocol; a secret.
    """

    url: str = "localhost:8001"
    timeout_s: float = 5.0
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    access_key: str | None = field(default=None, repr=False)


class Engine(Protocol):
    """Computes descriptors for a batch of images.

    Attributes:
        name: one of ``ENGINES``.
        in_flight: number of images in progress that keep the engine busy.
        images_per_call: number of images that a caller with many should send in one call.
    """

    name: str
    in_flight: int
    images_per_call: int

    @property
    def generation(self) -> int:
        """Number that rises after every event that may have changed the served models.

        A lost connection is such an event. What was verified in one generation is verified again
        in the next.
        """
        ...

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone of a profile.

        A row of the result depends on its image alone, not on the rest of the batch.

        Args:
            ensemble: the profile's ensemble in the model repository.
            images: (B, S, S, 3) uint8 RGB.
            timeout_s: seconds that the caller waits; None for the limit of the engine's settings.

        Returns:
            (B, C) float32 by model name; each row has L2 norm 1 or is all zero.

        Raises:
            EngineError: if the models refuse the request.
            EngineUnavailableError: if the models cannot be reached.
            EngineDeadlineError: if the models do not answer in time.
            ModelRepositoryError: if the served models are not those of the repository.
            ModelMismatchError: if the weights differ from those that answered the first call.
        """
        ...

    async def run(
        self, model: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run one of the further models that the engine was opened with.

        A row of the result depends on its image alone, not on the rest of the batch.

        Args:
            model: name of the model.
            images: (B, H, W, 3) uint8 RGB of one size.
            timeout_s: seconds that the caller waits; None for the limit of the engine's settings.

        Returns:
            (B, …) by output name, without the fingerprint.

        Raises:
            EngineError: if the model refuses the request, or the engine was opened without it.
            EngineUnavailableError: if the model cannot be reached.
            EngineDeadlineError: if the model does not answer in time.
            ModelRepositoryError: if the served model is not that of the repository.
            ModelMismatchError: if the weights differ from those that answered the first call.
        """
        ...

    async def check_served(self) -> None:
        """Check that the profile's models are served and ready; describes no image.

        Raises:
            EngineUnavailableError: if the models are not ready, or cannot be reached.
            EngineDeadlineError: if the engine does not answer in time.
            ModelRepositoryError: if the served models are not those of the repository.
        """
        ...

    async def close(self) -> None:
        """Release the models and close the connections."""
        ...


def check_request(served: str, side: int, ensemble: str, images: NDArray[np.uint8]) -> None:
    """Refuse a request for another ensemble, or with images of another shape or type.

    Args:
        served: the ensemble that the engine was opened for.
        side: S, height and width in pixels of that ensemble's images.
        ensemble: the ensemble of the request.
        images: the images of the request; valid ones are (B, S, S, 3) uint8.

    Raises:
        EngineError: naming what the engine takes and what the request has.
    """
    if ensemble != served:
        raise EngineError(f"This engine serves {served!r}, not {ensemble!r}.")
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise EngineError(
            f"{ensemble} takes uint8 images (B, {side}, {side}, 3), got {images.dtype} "
            f"{images.shape}."
        )


def further_model(
    models: Mapping[str, ImageModel], name: str, images: NDArray[np.uint8]
) -> ImageModel:
    """Find a further model, and refuse images of another shape or type than it takes.

    Args:
        models: the further models that the engine was opened with, by name.
        name: the model of the request.
        images: the images of the request.

    Raises:
        EngineError: naming what the engine takes and what the request has.
    """
    model = models.get(name)
    if model is None:
        raise EngineError(f"This engine was opened with {sorted(models)}, not with {name!r}.")
    if images.dtype != np.uint8 or not model.image.fits(images.shape):
        raise EngineError(
            f"{name} takes uint8 images (B, {', '.join(map(str, model.image.dims))}), got "
            f"{images.dtype} {images.shape}."
        )
    return model
