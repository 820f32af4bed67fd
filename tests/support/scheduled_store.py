"""A store whose clients take turns at random, and whose writes fail, or come late."""

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from retrieval_server.errors import StoreUnavailableError
from retrieval_server.stores.layout import KEY

DOCUMENTS = "documents"


class ScheduledStore:
    """What the log of changes asks of Milvus, with each step in the order that a test draws.

    Args:
        rng: draws the order, and what fails.
        failing: the share of writes that fail; half of these are done nevertheless, at once or
            later.
    """

    def __init__(self, rng: np.random.Generator, failing: float) -> None:
        self.address = SimpleNamespace(collection="products")
        self.entities_by_key: dict[str, dict[str, object]] = {}
        self._rng, self._failing = rng, failing
        self._late: list[Callable[[], object]] = []
        self._turns: dict[str, threading.Semaphore] = {}
        self._paused, self._current = threading.Semaphore(0), ""

    def run(self, clients: Sequence[Callable[[], None]]) -> None:
        """Run clients to their end, one step of one of them after the other."""
        threads = {}
        for number, client in enumerate(clients):
            name = f"client {number}"
            self._turns[name] = threading.Semaphore(0)
            threads[name] = threading.Thread(target=self._client, args=(client,), name=name)
        for thread in threads.values():
            thread.start()
        while self._turns:
            self._turns[str(self._rng.choice(sorted(self._turns)))].release()
            self._paused.acquire()
            if self._late and self._rng.random() < 0.1:
                self._late.pop(int(self._rng.integers(len(self._late))))()
        for thread in threads.values():
            thread.join()
        self._turns = {}

    def read(self, method: str, collection: str, consistency: str, **named: object) -> list[object]:
        self._step()
        condition = str(named["filter"])
        return [
            dict(entity)
            for entity in self.entities_by_key.values()
            if eval(condition, {}, {"first": entity["first"]})
        ]

    def entities(
        self, collection: str, key_name: str, keys: Sequence[str], fields: object, level: str
    ) -> list[object]:
        self._step()
        return [dict(self.entities_by_key[key]) for key in keys if key in self.entities_by_key]

    def call(self, method: str, collection: str, entities=(), ids=()) -> None:
        def write() -> None:
            self.entities_by_key.update({entity[KEY]: dict(entity) for entity in entities})
            for key in ids:
                self.entities_by_key.pop(key, None)

        self._step()
        if not self._turns or self._rng.random() >= self._failing:
            write()
            self._step()
            return
        match self._rng.integers(4):
            case 0:
                write()
            case 1:
                self._late.append(write)
        raise StoreUnavailableError("the store fails.")

    def aliased(self, alias: str) -> str:
        self._step()
        return DOCUMENTS

    def _client(self, client: Callable[[], None]) -> None:
        name = threading.current_thread().name
        self._turns[name].acquire()
        try:
            client()
        finally:
            del self._turns[name]
            self._paused.release()

    def _step(self) -> None:
        """Let the others go on."""
        turn = self._turns.get(threading.current_thread().name)
        if turn is not None:
            self._paused.release()
            turn.acquire()
