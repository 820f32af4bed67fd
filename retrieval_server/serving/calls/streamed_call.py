"""A request of a stream, which is answered as if it were a call of its own."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.calls.answering import Call, Metadata
from retrieval_server.serving.calls.messages import RETRY_PUSHBACK
from retrieval_server.v1 import retrieval_pb2 as pb

REQUEST_ID = "request-id"
LATE = "The deadline of this request passed."


class StreamedCall:
    """What a request of a stream has in the place of a call's context.

    Args:
        stream: the context of the stream.
        timeout_ms: milliseconds that the request has from now on; 0 leaves it the stream's time.
    """

    def __init__(self, stream: Call, timeout_ms: int) -> None:
        self._stream = stream
        self._deadline = Deadline.after(timeout_ms / 1000 if timeout_ms else None)
        self._code: grpc.StatusCode | None = None
        self._message = ""
        self._metadata: dict[str, str | bytes] = {}

    def peer(self) -> str:
        """The other end of the stream's connection."""
        return self._stream.peer()

    def invocation_metadata(self) -> Any:
        """The metadata of the stream."""
        return self._stream.invocation_metadata()

    def time_remaining(self) -> float | None:
        """Seconds until the first deadline of request and stream; None if there is none."""
        remaining = (self._deadline.remaining_s, self._stream.time_remaining())
        return min((each for each in remaining if each is not None), default=None)

    def code(self) -> grpc.StatusCode | None:
        """The status of a request that was aborted; None for another one."""
        return self._code

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Keep what a call would end with."""
        self._metadata.update(metadata)

    async def abort(
        self, code: grpc.StatusCode, message: str = "", metadata: Metadata = ()
    ) -> NoReturn:
        """End the request, not the stream.

        Raises:
            AbortError: always, as a call's context does.
        """
        self._code, self._message = code, message
        self._metadata.update(metadata)
        raise grpc.aio.AbortError(message)

    def late(self) -> pb.SearchError:
        """The error of a request whose deadline has passed."""
        self._code, self._message = grpc.StatusCode.DEADLINE_EXCEEDED, LATE
        return self.error()

    def error(self) -> pb.SearchError:
        """The error of a request that was aborted."""
        assert self._code is not None
        code: int = self._code.value[0]
        return pb.SearchError(
            code=code,
            message=self._message,
            retry_delay_ms=int(self._metadata.get(RETRY_PUSHBACK, 0)),
            request_id=str(self._metadata.get(REQUEST_ID, "")),
        )
