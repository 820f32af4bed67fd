"""The interface of an engine, how Triton is reached, and the requests that every engine refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import EngineError

ENGINES = ("embedded", "triton")


@dataclass(frozen=True, kw_only=True)
class TritonConnection:
    """Where a Triton server is, and how to reach it.

    Attributes:
        url: ``host:port`` of its gRPC endpoint.
        timeout_s: seconds a call may take, retries included.
        tls_ca: PEM file of the authority behind its certificate; a TLS file turns TLS on.
        tls_cert: PEM file of our certificate, where Triton asks for one.
        tls_key: PEM file of its private key.
        access_key: ``NAME=VALUE``, where inference is a restricted protocol; a secret.
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
        generation: number that rises after every event that may have changed the served models,
            such as a lost connection; what was verified in one generation is verified again in the
            next.
    """

    name: str
    in_flight: int
    images_per_call: int
    generation: int

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone of a profile.

        A row of the result depends on its image alone, not on the rest of the batch.

        Args:
            ensemble: the profile's ensemble in the model repository.
            images: (B, S, S, 3) uint8 RGB.
            timeout_s: how long the caller waits; None for as long as the engine's settings allow.

        Returns:
            (B, C) float32 by model name, of unit L2 norm or all zero.

        Raises:
            EngineError: if the models refuse the request.
            EngineUnavailableError: if the models cannot be reached.
            EngineDeadlineError: if the models do not answer in time.
            ModelRepositoryError: if the served models are not those of the repository.
            ModelMismatchError: if the weights are not those that answered the first call.
        """
        ...

    async def check_served(self) -> None:
        """Ask whether the models of the repository are ready; no image is described.

        Raises:
            EngineUnavailableError: if they are not, or cannot be reached.
            EngineDeadlineError: if there is no answer in time.
            ModelRepositoryError: if other models are served than those of the repository.
        """
        ...

    async def close(self) -> None:
        """Release the models and close the connections."""
        ...


def check_request(served: str, side: int, ensemble: str, images: NDArray[np.uint8]) -> None:
    """Refuse another ensemble than the one served, and images of another shape or type.

    Args:
        served: the ensemble that the engine was opened for.
        side: S, height and width in pixels of its images.
        ensemble: the one that is asked for.
        images: should be (B, S, S, 3) uint8.

    Raises:
        EngineError: naming what is wanted and what was given.
    """
    if ensemble != served:
        raise EngineError(f"This engine serves {served!r}, not {ensemble!r}.")
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise EngineError(
            f"{ensemble} takes uint8 images (B, {side}, {side}, 3), got {images.dtype} "
            f"{images.shape}."
        )
