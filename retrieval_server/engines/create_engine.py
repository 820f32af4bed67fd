"""Creates an engine by its name; only the packages of that engine are imported."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from retrieval_server.engines.engine import ENGINES, Engine, TritonConnection
from retrieval_server.errors import EngineError


def create_engine(
    name: str,
    repository: Path,
    ensemble: str,
    *,
    workers: int,
    threads_per_image: int,
    triton: TritonConnection | None = None,
    further_models: Collection[str] = (),
) -> Engine:
    """Open an engine that serves one profile.

    Args:
        name: one of ``ENGINES``.
        repository: the model repository.
        ensemble: the profile's ensemble in it.
        workers: number of models that run at the same time in this process.
        threads_per_image: number of cores that one image may use in this process.
        triton: the connection of the engine ``triton``; None for its defaults.
        further_models: models beside the profile's, for ``Engine.run``.

    Raises:
        EngineError: if there is no such engine, or it cannot load the models.
        ModelRepositoryError: if a model is missing.
    """
    if name == "embedded":
        from retrieval_server.engines.embedded import EmbeddedEngine

        return EmbeddedEngine(
            repository,
            ensemble,
            workers=workers,
            threads_per_image=threads_per_image,
            further_models=further_models,
        )
    if name == "triton":
        from retrieval_server.engines.triton import TritonEngine

        return TritonEngine(repository, ensemble, triton or TritonConnection(), further_models)
    raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
