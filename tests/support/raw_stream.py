"""A stream of searches whose requests a test sends one by one, without the client's room."""

import queue
from collections.abc import Iterator

import grpc

from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S


class RawStream:
    """An open stream; the ids of its requests are 1, 2, 3, ..."""

    def __init__(
        self,
        stub: pb_grpc.RetrievalServiceStub,
        timeout_s: float = PATIENCE_S,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._requests: queue.SimpleQueue[pb.SearchStreamRequest | None] = queue.SimpleQueue()
        self._last_id = 0
        self.call = stub.SearchStream(
            iter(self._requests.get, None), timeout=timeout_s, metadata=metadata
        )

    def send(self, timeout_ms: int = 0, **fields: object) -> None:
        self._last_id += 1
        self.send_with_id(self._last_id, timeout_ms, **fields)

    def send_with_id(self, id_: int, timeout_ms: int = 0, **fields: object) -> None:
        search = pb.SearchRequest(**fields)
        self._requests.put(pb.SearchStreamRequest(id=id_, search=search, timeout_ms=timeout_ms))

    def end(self) -> None:
        """Send no more."""
        self._requests.put(None)

    def next(self) -> pb.SearchStreamResponse:
        return next(self.call)

    def rest(self) -> Iterator[pb.SearchStreamResponse]:
        """The responses that are left; the caller's side ends."""
        self.end()
        return self.call

    def status(self) -> tuple[grpc.StatusCode, str]:
        """What the stream ends with."""
        return self.call.code(), self.call.details()
