"""Whether this server can search now: its engine may go away, and come back with other models.

``grpc.health.v1`` answers for two names. The empty one says that this process answers (liveness: a
restart of it would bring no Triton back). The service's name says that it can search (readiness).
"""

from __future__ import annotations

import asyncio
import logging

from grpc_health.v1 import health, health_pb2

from retrieval_server.errors import RetrievalError
from retrieval_server.serving.served_index import ServedIndex

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
PROCESS = ""


class Readiness:
    """Keeps the health service true, from its ``start`` to the health service's shutdown.

    Args:
        served: whose engine to look at.
        servicer: where to report.
        service: full name of the service that searches.
    """

    def __init__(
        self, served: ServedIndex, servicer: health.aio.HealthServicer, service: str
    ) -> None:
        self._served = served
        self._servicer = servicer
        self._service = service
        self._problem: str | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether searches can be answered now; not so before the start and after the stop."""
        return self._watch is not None and not self._watch.done() and self._problem is None

    async def start(self) -> None:
        """Report that all is well, and go on looking."""
        for name in (PROCESS, self._service):
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._watch = asyncio.create_task(self._look_again_and_again())

    async def stop(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def look(self) -> None:
        """Ask the engine, let it prove what it computes where that is in doubt, and report."""
        problem = None
        try:
            retriever = self._served.retriever
            await retriever.engine.check_served()
            await retriever.check_engine()
        except RetrievalError as error:
            problem = str(error)
        if (problem is None) != (self._problem is None):
            status = health_pb2.HealthCheckResponse
            await self._servicer.set(
                self._service, status.SERVING if problem is None else status.NOT_SERVING
            )
            log.warning("ready again" if problem is None else f"not ready: {problem}")
        self._problem = problem

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:
                log.exception("cannot tell whether the engine is ready")
