"""Engines compute descriptors; this is the one seam between the search and the models.

An engine has one method that matters, ``infer``. ``embedded`` runs onnxruntime in this process,
``triton`` asks a Triton server. Both read the same model repository. Both the server and the index
build go through here, so query and database descriptors come from the same code.
"""

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
        in_flight: how many images at the same time keep it busy.
        images_per_call: how many of them are best sent together, where many are to be described.
        doubts: how often something happened after which other models may answer; whoever proved
            once what they compute has to do it again when this has changed.
    """

    name: str
    in_flight: int
    images_per_call: int
    doubts: int

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
            EngineError: if the models refuse.
            EngineUnavailableError: if they cannot be reached now.
            EngineDeadlineError: if they do not answer in time.
            ModelRepositoryError: if other models are served than those of the repository.
            ModelMismatchError: if other weights answer than did the first call.
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
        """Let go of models and connections."""
        ...


def create_engine(
    name: str,
    repository: Path,
    ensemble: str,
    *,
    workers: int,
    threads_per_run: int,
    triton: TritonConnection | None = None,
) -> Engine:
    """Open an engine that serves one profile.

    Args:
        name: one of ``ENGINES``.
        repository: the model repository.
        ensemble: the profile's ensemble in it.
        workers: how many runs go on side by side in this process.
        threads_per_run: how many cores one of them may use.
        triton: for the engine ``triton``; its defaults if not given.

    Raises:
        EngineError: if there is no such engine, or it cannot load the models.
        ModelRepositoryError: if a model is missing.
    """
    if name == "embedded":
        from retrieval_server.engines.embedded import EmbeddedEngine

        return EmbeddedEngine(
            repository, ensemble, workers=workers, threads_per_run=threads_per_run
        )
    if name == "triton":
        from retrieval_server.engines.triton import TritonEngine

        return TritonEngine(repository, ensemble, triton or TritonConnection())
    raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
