"""Calls of the engine ``triton``, to a real server or to a fake one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine, TritonConnection
from retrieval_server.serving.settings import Settings
from tests.support.fake_triton import FakeTriton, fake_triton
from tests.support.patience import PATIENCE_S

SIDE = 32
ENSEMBLE = "tiny"
ROUNDED_UP = 1.02  # gRPC sends a deadline rounded up to a few digits: 30 s may arrive as 30.1
Descriptors = dict[str, NDArray[np.float32]]


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def open_triton(
    repository: Path,
    url: str,
    timeout_s: float = PATIENCE_S,
    further_models: tuple[str, ...] = (),
    **rest: object,
):
    return create_engine(
        "triton",
        repository,
        ENSEMBLE,
        workers=1,
        threads_per_image=1,
        triton=TritonConnection(url=url, timeout_s=timeout_s, **rest),
        further_models=further_models,
    )


async def used(
    engine: Engine, images: NDArray[np.uint8], timeout_s: float | None = None
) -> Descriptors:
    """One call to an engine, which is closed then."""
    try:
        return await engine.infer(ENSEMBLE, images, timeout_s)
    finally:
        await engine.close()


def described(engine: Engine, images: NDArray[np.uint8]) -> Descriptors:
    return asyncio.run(used(engine, images))


def settings(
    index: Path, repository: Path, engine: str, url: str = "", timeout_s: float = PATIENCE_S
) -> Settings:
    return Settings(
        index=index,
        model_repository=repository,
        engine=engine,
        port=0,
        workers=1,
        triton_url=url,
        triton_timeout_s=timeout_s,
        longest_wait_s=PATIENCE_S,
    )


def with_fake(
    repository: Path, use: Callable[[FakeTriton], Awaitable[None]], **behaviour: object
) -> FakeTriton:
    async def run() -> FakeTriton:
        async with asyncio.timeout(PATIENCE_S), fake_triton(repository, **behaviour) as fake:
            await use(fake)
        return fake

    return asyncio.run(run())
