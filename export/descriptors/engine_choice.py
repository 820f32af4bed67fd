"""The choice of the engine that computes descriptors offline, and of its model repository."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from retrieval_server.cores import available_cores
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import ENGINES, PRECISIONS, Engine, TritonConnection


@dataclass(frozen=True)
class EngineChoice:
    """An engine and the models that it runs.

    Attributes:
        repository: the folder with the models.
        engine: one of ``ENGINES``.
        triton: where Triton is, for the engine ``triton``.
    """

    repository: Path
    engine: str = ENGINES[0]
    triton: TritonConnection | None = None

    @property
    def precision(self) -> str | None:
        """What the engine computes in; None if a Triton decides, or there is no such engine."""
        return PRECISIONS.get(self.engine)

    def open(self, ensemble: str, further_models: Collection[str] = ()) -> Engine:
        """Open the engine for many images: it uses every available core, one thread for a run.

        Args:
            ensemble: name of a profile; its models must be in the repository.
            further_models: models beside them, for ``Engine.run``.

        Raises:
            EngineError: if the engine is unknown, or a model cannot be loaded.
            ModelRepositoryError: if a model is missing.
        """
        return create_engine(
            self.engine,
            self.repository,
            ensemble,
            workers=available_cores(),
            threads_per_image=1,
            triton=self.triton,
            further_models=further_models,
        )
