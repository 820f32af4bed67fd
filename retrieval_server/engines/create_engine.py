"""Creates an engine by its name; only the packages of that engine are imported."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_server.engines.engine import ENGINES, Engine, TritonConnection
from retrieval_server.errors import EngineError

if TYPE_CHECKING:
    from retrieval_server.engines.in_process import InProcessEngine


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
    if name == "triton":
        from retrieval_server.engines.triton import TritonEngine

        return TritonEngine(repository, ensemble, triton or TritonConnection(), further_models)
    return _in_process_engine(name)(
        repository,
        ensemble,
        workers=workers,
        threads_per_image=threads_per_image,
        further_models=further_models,
    )


def _in_process_engine(name: str) -> type[InProcessEngine]:
    if name == "embedded":
        from retrieval_server.engines.embedded import EmbeddedEngine

        return EmbeddedEngine
    if name == "openvino":
        try:
            from retrieval_server.engines.openvino import OpenvinoEngine
        except ModuleNotFoundError as error:
            raise EngineError(
                f"The engine openvino needs {error.name}. Install it with: "
                "pip install '.[server,openvino]'"
            ) from error
        return OpenvinoEngine
    raise EngineError(f"Unknown engine {name!r}. Choose one of: {', '.join(ENGINES)}.")
