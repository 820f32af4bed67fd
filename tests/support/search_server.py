"""A search server in front of a Triton, and its callers."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S

DEADLINE_S = 3.0
TRUE_WHILE_BROKEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # behind searches that were slow
}
SERVICE = "retrieval_server.v1.RetrievalService"


@dataclass
class SearchServer:
    """A running search server, and a photo with its right answer."""

    stub: pb_grpc.RetrievalServiceStub
    health: health_pb2_grpc.HealthStub
    photo: bytes
    expected: list[tuple[str, float]] = field(default_factory=list)

    def search(self, deadline_s: float = DEADLINE_S) -> grpc.StatusCode:
        """One call; its status, once its result, if any, and its time were found right."""
        started = time.monotonic()
        try:
            answer = self.stub.Search(pb.SearchRequest(image=self.photo), timeout=deadline_s)
        except grpc.RpcError as error:
            status = error.code()
        else:
            status = grpc.StatusCode.OK
            assert [(m.product_id, m.similarity) for m in answer.results] == self.expected
        assert time.monotonic() - started < PATIENCE_S / 2  # gRPC ends a call at its deadline
        return status

    def is_right(self) -> bool:
        return self.search() is grpc.StatusCode.OK

    def is_ready(self) -> bool:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        return self.health.Check(request, timeout=PATIENCE_S).status == 1


@contextmanager
def searching(index: Path, repository: Path, url: str, photo: Path) -> Iterator[SearchServer]:
    """Serve an index through a Triton, in a thread of this process."""
    settings = Settings(
        index=index,
        model_repository=repository,
        engine="triton",
        port=0,
        triton_url=url,
        longest_wait_s=PATIENCE_S,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        running = asyncio.run_coroutine_threadsafe(start_server(settings), loop).result(PATIENCE_S)
        with grpc.insecure_channel(running.address) as channel:
            server = SearchServer(
                pb_grpc.RetrievalServiceStub(channel),
                health_pb2_grpc.HealthStub(channel),
                photo.read_bytes(),
            )
            request = pb.SearchRequest(image=server.photo)
            answer = server.stub.Search(request, timeout=PATIENCE_S)
            server.expected = [(m.product_id, m.similarity) for m in answer.results]
            yield server
        asyncio.run_coroutine_threadsafe(running.stop(0), loop).result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
