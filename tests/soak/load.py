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
from tests.soak.world import CALL_TIMEOUT_S, Answer, Caller, Query, World

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
        world: what they ask, and the right answers.
        callers: how many.
        pause_s: between two queries of a caller.
    """

    def __init__(self, address: str, world: World, callers: int, pause_s: float) -> None:
        self._address, self._world, self._pause_s = address, world, pause_s
        self._stops = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._later: list[tuple[Query, Answer]] = []
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

    def judge(self) -> None:
        """Judge the answers that saw a change which was answered later; there are no more."""
        for query, answer in self._later:
            self._count(query, "OK" if self._world.is_right(query, answer) else "WRONG")

    def _call(self, seed: int) -> None:
        generator = random.Random(seed)
        with calling(self._address) as caller:
            while not self._stops.wait(self._pause_s):
                query = generator.choice(self._world.queries)
                answer = asked(query, caller)
                is_right = None if isinstance(answer, str) else self._world.is_right(query, answer)
                if isinstance(answer, str):
                    self._count(query, answer)
                elif is_right is None:
                    self._later.append((query, answer))
                else:
                    self._count(query, "OK" if is_right else "WRONG")

    def _count(self, query: Query, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if outcome not in {"OK", *(status.name for status in WHILE_BROKEN)}:
                self.wrong.append(f"{query.name}: {outcome}")


def asked(query: Query, caller: Caller) -> Answer | str:
    """Ask a query: the answer, or the status of a call that has failed."""
    try:
        return query.ask(caller)
    except (grpc.RpcError, ClientError) as error:
        code = error.code() if isinstance(error, grpc.RpcError) else error.code
        return str(error) if code is None else code.name
