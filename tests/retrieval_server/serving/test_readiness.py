"""The health service says whether searches can be answered now."""

import asyncio
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health, health_pb2
from numpy.typing import NDArray

from retrieval_server.errors import EngineUnavailableError, RetrievalError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.serving.served import readiness as readiness_module
from retrieval_server.serving.served.readiness import Readiness
from retrieval_server.serving.served.served_index import ServedIndex
from tests.support.patience import PATIENCE_S

SERVICE = "retrieval_server.v1.RetrievalService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GONE = EngineUnavailableError("Triton is away.")


class DistantEngine:
    """Answers with an index's own reference descriptors, unless it is away or has other weights."""

    name = "distant"
    in_flight = 1

    def __init__(self, bundle: IndexBundle) -> None:
        self.reference_descriptors = {
            model: vector[None] for model, vector in bundle.reference_descriptors.items()
        }
        self.problem: RetrievalError | None = None
        self.generation = 0

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        return self.reference_descriptors

    async def check_served(self) -> None:
        if self.problem is not None:
            self.generation += 1
            raise self.problem

    async def close(self) -> None: ...


class Watched:
    """A readiness with all that it looks at."""

    def __init__(self, index: Path) -> None:
        bundle = open_index(index)
        self.engine = DistantEngine(bundle)
        self.servicer = health.aio.HealthServicer()
        self.readiness = Readiness(
            ServedIndex(Retriever(bundle, self.engine)), self.servicer, SERVICE
        )

    async def reported(self, service: str) -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        return (await self.servicer.Check(request, NoContext())).status

    async def eventually(self, status: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.reported(SERVICE) != status:
                await asyncio.sleep(0)


class NoContext:
    """What the health service wants of gRPC."""

    async def abort(self, status: grpc.StatusCode, details: str = "") -> None:
        raise AssertionError(f"{status} {details}")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "POLL_EVERY_S", 0.001)


@pytest.mark.usefixtures("often")
def test_an_engine_that_goes_away_and_comes_back_is_reported(tiny_index: Path) -> None:
    async def run() -> None:
        watched = Watched(tiny_index)
        await watched.readiness.start()
        assert await watched.reported(SERVICE) == SERVING
        for _ in range(2):
            watched.engine.problem = GONE
            await watched.eventually(NOT_SERVING)
            assert await watched.reported("") == SERVING  # the process needs no restart
            watched.engine.problem = None
            await watched.eventually(SERVING)
        await watched.readiness.stop()

    asyncio.run(run())


def test_an_engine_that_comes_back_with_other_models_is_not_ready(tiny_index: Path) -> None:
    async def run() -> None:
        watched = Watched(tiny_index)
        await watched.readiness.poll()
        own = watched.engine.reference_descriptors
        watched.engine.reference_descriptors = {
            model: np.roll(rows, 1) for model, rows in own.items()
        }
        watched.engine.generation += 1
        await watched.readiness.poll()
        assert await watched.reported(SERVICE) == NOT_SERVING
        watched.engine.reference_descriptors = own
        await watched.readiness.poll()
        assert await watched.reported(SERVICE) == SERVING

    asyncio.run(run())


@pytest.mark.usefixtures("often")
def test_a_failure_of_the_watch_itself_does_not_end_it(
    tiny_index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        watched = Watched(tiny_index)
        await watched.readiness.start()
        watched.engine.problem = ZeroDivisionError("a defect")  # type: ignore[assignment]
        async with asyncio.timeout(PATIENCE_S):
            while "the check of the engine fails" not in caplog.text:
                await asyncio.sleep(0)
        watched.engine.problem = GONE
        await watched.eventually(NOT_SERVING)
        await watched.readiness.stop()

    asyncio.run(run())


@pytest.mark.usefixtures("often")
def test_nothing_is_reported_after_the_shutdown(tiny_index: Path) -> None:
    async def run() -> None:
        watched = Watched(tiny_index)
        await watched.readiness.start()
        await watched.readiness.stop()
        await watched.servicer.enter_graceful_shutdown()
        await watched.readiness.poll()
        assert await watched.reported(SERVICE) == NOT_SERVING

    asyncio.run(run())
