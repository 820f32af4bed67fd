"""A real server in this process, in whose engine a test can meddle."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2_grpc
from numpy.typing import NDArray

from retrieval_server.engines.engine import Engine
from retrieval_server.serving import server as server_module
from retrieval_server.serving.server import RunningServer, start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S


class PuppetEngine:
    """The real engine, but a test can hold its calls or make them fail."""

    name = "embedded"
    generation = 0

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.in_flight = engine.in_flight
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.reading_failure: Exception | None = None
        self.reading_gate: asyncio.Event | None = None
        self.arrived = threading.Semaphore(0)
        self.cancelled = threading.Event()

    async def infer(
        self, ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[np.float32]]:
        if self.failure is not None:
            raise self.failure
        if self.gate is not None:
            self.arrived.release()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return await self.engine.infer(ensemble, images)

    async def run(
        self, model: str, images: NDArray[np.uint8], timeout_s: float | None = None
    ) -> dict[str, NDArray[Any]]:
        if self.reading_failure is not None:
            raise self.reading_failure
        if self.reading_gate is not None:
            await self.reading_gate.wait()
        return await self.engine.run(model, images, timeout_s)

    async def check_served(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        await self.engine.close()


class Served:
    """A running server, and the ways a test may talk to it."""

    def __init__(
        self, running: RunningServer, engine: PuppetEngine, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engine = engine
        self.running = running
        self._loop = loop
        self.address = running.address
        self.channel = grpc.insecure_channel(running.address)
        self.stub = pb_grpc.RetrievalServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    @property
    def executor(self) -> Executor:
        """The workers that decode and rank."""
        return self.running._executor

    def waiting(self, queue: str) -> float | None:
        """How many wait for their turn in a queue."""
        registry = self.running.index_watch._metrics.registry
        return registry.get_sample_value("beauty_searches_waiting", {"queue": queue})

    def search(self, timeout_s: float = PATIENCE_S, **fields: object) -> pb.SearchResponse:
        return self.stub.Search(pb.SearchRequest(**fields), timeout=timeout_s)

    def refused(self, timeout_s: float = PATIENCE_S, **fields: object) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            self.search(timeout_s, **fields)
        return caught.value

    def hold(self) -> None:
        """Let the engine's calls wait from now on."""
        self.engine.gate = asyncio.Event()

    def release(self) -> None:
        gate, self.engine.gate = self.engine.gate, None
        if gate is not None:
            self._loop.call_soon_threadsafe(gate.set)

    def stop(self, drain_s: float, delay_s: float = 0.0) -> None:
        self.result(self.running.stop(drain_s, delay_s))

    def result(self, work: Awaitable[object]) -> object:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


ServedBy = Callable[..., AbstractContextManager[Served]]


@contextmanager
def served(settings: Settings, loop: asyncio.AbstractEventLoop) -> Iterator[Served]:
    """Start a server; it is stopped at the end of the block."""
    engines = []

    def puppet(*args: object, **kwargs: object) -> PuppetEngine:
        engines.append(PuppetEngine(create_engine(*args, **kwargs)))
        return engines[0]

    create_engine = server_module.create_engine
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "create_engine", puppet)
        starting = asyncio.run_coroutine_threadsafe(start_server(settings), loop)
        running = starting.result(PATIENCE_S)
    server = Served(running, engines[0], loop)
    try:
        yield server
    finally:
        server.release()
        server.channel.close()
        server.stop(0)
