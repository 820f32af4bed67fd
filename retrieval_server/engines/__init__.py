"""Engines compute descriptors; this is the one seam between the search and the models.

An engine has one method that matters, ``infer``. ``embedded`` runs onnxruntime in this process.
Both the server and the index build go through here, so query and database descriptors come from
the same code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import EngineError

ENGINES = ("embedded",)


class Engine(Protocol):
    """Computes descriptors for a batch of images.

    Attributes:
        name: one of ``ENGINES``.
    """

    name: str

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        """Describe images with every backbone of a profile.

        A row of the result depends on its image alone, not on the rest of the batch.

        Args:
            ensemble: the profile's ensemble in the model repository.
            images: (B, S, S, 3) uint8 RGB.

        Returns:
            (B, C) float32 by model name, of unit L2 norm or all zero.

        Raises:
            EngineError: if the models refuse.
            EngineUnavailableError: if they cannot be reached now.
        """
        ...

    async def close(self) -> None:
        """Let go of models and connections."""
        ...


def create_engine(
    name: str, repository: Path, ensemble: str, *, workers: int, threads_per_run: int
) -> Engine:
    """Open an engine that serves one profile.

    Args:
        name: one of ``ENGINES``.
        repository: the model repository.
        ensemble: the profile's ensemble in it.
        workers: how many runs go on side by side.
        threads_per_run: how many cores one run may use.

    Raises:
        EngineError: if there is no such engine, or it cannot load the models.
        ModelRepositoryError: if a model is missing.
    """
    if name != "embedded":
        raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
    from retrieval_server.engines.embedded import EmbeddedEngine

    return EmbeddedEngine(repository, ensemble, workers=workers, threads_per_run=threads_per_run)
