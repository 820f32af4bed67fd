"""Whether this server can search now: its engine or its store may go away and come back.

``grpc.health.v1`` answers for two names. The empty name says that this process answers: liveness,
since a restart of the process would not bring Triton back. The service's name says that the server
can search: readiness.
"""

from __future__ import annotations

import asyncio
import logging

from grpc_health.v1 import health, health_pb2

from retrieval_server.errors import RetrievalError
from retrieval_server.serving.served.polling import Polling
from retrieval_server.serving.served.served_index import ServedIndex

log = logging.getLogger(__name__)

POLL_EVERY_S = 2.0
PROCESS = ""


class Readiness:
    """Reports to the health service whether engine and index answer, from ``start`` to ``stop``.

    Args:
        served: has the engine and the index that are polled.
        servicer: the health service.
        service: full name of the service that searches.
    """

    def __init__(
        self, served: ServedIndex, servicer: health.aio.HealthServicer, service: str
    ) -> None:
        self._served = served
        self._servicer = servicer
        self._service = service
        self._problem: str | None = None
        self._polling = Polling(self.poll, "the check of the engine")

    @property
    def is_ready(self) -> bool:
        """Whether searches can be answered now; False before ``start`` and after ``stop``."""
        return self._polling.is_running and self._problem is None

    async def start(self) -> None:
        """Report SERVING, and start to poll the engine."""
        for name in (PROCESS, self._service):
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._polling.start(POLL_EVERY_S)

    async def stop(self) -> None:
        """Stop polling; what was reported last stays."""
        await self._polling.stop()

    async def poll(self) -> None:
        """Ask engine and index, verify the engine if its generation is new, and report."""
        problem = None
        try:
            retriever = self._served.retriever
            await retriever.engine.check_served()
            await asyncio.to_thread(retriever.bundle.check_served)
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
