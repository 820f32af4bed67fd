"""``open_engine``: opens each of ``ENGINES`` on ``tiny_repository``."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import ENGINES, Engine, TritonConnection
from tests.support.engines import require_engine
from tests.support.patience import PATIENCE_S

ENSEMBLE = "tiny"

OpenEngine = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest, tiny_repository: Path) -> OpenEngine:
    require_engine(request.param)
    triton = None
    if request.param == "triton":
        url = request.getfixturevalue("triton_url")
        triton = TritonConnection(url=url, timeout_s=PATIENCE_S)

    @asynccontextmanager
    async def opened(
        workers: int = 2, threads_per_image: int = 1, further_models: tuple[str, ...] = ()
    ) -> AsyncIterator[Engine]:
        engine = create_engine(
            request.param,
            tiny_repository,
            ENSEMBLE,
            workers=workers,
            threads_per_image=threads_per_image,
            triton=triton,
            further_models=further_models,
        )
        try:
            yield engine
        finally:
            await engine.close()

    return opened
