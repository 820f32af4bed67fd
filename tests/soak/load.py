"""Callers that search all the time, and what came of it."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from client import RetrievalClient
from client import RetrievalError as ClientError
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.soak.world import CALL_TIMEOUT_S, Caller, Query

WHILE_BROKEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@contextmanager
def calling(address: str) -> Iterator[Caller]:
    """A new caller, with connections of its own."""
    with (
        RetrievalClient(address, timeout_s=CALL_TIMEOUT_S) as client,
        grpc.insecure_channel(address) as channel,
    ):
        yield Caller(client, pb_grpc.RetrievalServiceStub(channel))


class Load:
    """Callers in threads; each asks one query after the other, at random.

    Args:
        address: of the server.
        queries: what they ask.
        callers: how many.
        pause_s: between two queries of a caller.
    """

    def __init__(
        self, address: str, queries: tuple[Query, ...], callers: int, pause_s: float
    ) -> None:
        self._address, self._queries, self._pause_s = address, queries, pause_s
        self._stops = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._threads = [
            threading.Thread(target=self._call, args=(seed,)) for seed in range(callers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the callers."""
        self._stops.set()
        for thread in self._threads:
            thread.join()

    def _call(self, seed: int) -> None:
        generator = random.Random(seed)
        with calling(self._address) as caller:
            while not self._stops.wait(self._pause_s):
                query = generator.choice(self._queries)
                outcome = asked(query, caller)
                with self._lock:
                    self.outcomes[outcome] += 1
                    if outcome not in {"OK", *(status.name for status in WHILE_BROKEN)}:
                        self.wrong.append(f"{query.name}: {outcome}")


def asked(query: Query, caller: Caller) -> str:
    """Ask a query: the status of the call, or ``WRONG`` for an answer that is."""
    try:
        answer = query.ask(caller)
    except (grpc.RpcError, ClientError) as error:
        code = error.code() if isinstance(error, grpc.RpcError) else error.code
        return str(error) if code is None else code.name
    return "OK" if query.is_right(answer) else "WRONG"
