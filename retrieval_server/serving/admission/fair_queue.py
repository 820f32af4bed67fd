"""A queue in which callers take turns, whoever has more waiting."""

from __future__ import annotations

from typing import Generic, TypeVar

from retrieval_server.serving.admission.callers import Caller

Waiter = TypeVar("Waiter")


class FairQueue(Generic[Waiter]):
    """Those who wait: by caller, and by its connections; each in the order of arrival.

    The dictionaries are in the order of the next turns: who has had one goes to the end. Waiters
    are hashable.
    """

    def __init__(self) -> None:
        self._callers: dict[bytes | str, dict[str, dict[Waiter, None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._callers)

    def __len__(self) -> int:
        return sum(len(each) for group in self._callers.values() for each in group.values())

    def push(self, caller: Caller, waiter: Waiter) -> None:
        """Add one who waits."""
        connections = self._callers.setdefault(caller.name, {})
        connections.setdefault(caller.connection, {})[waiter] = None

    def first(self) -> Waiter:
        """The next one; the queue is not empty."""
        connections = next(iter(self._callers.values()))
        return next(iter(next(iter(connections.values()))))

    def pop(self) -> Waiter:
        """Take out the next one; its connection and its caller have had their turn."""
        name = next(iter(self._callers))
        connections = self._callers.pop(name)
        connection = next(iter(connections))
        waiters = connections.pop(connection)
        waiter = next(iter(waiters))
        del waiters[waiter]
        if waiters:
            connections[connection] = waiters
        if connections:
            self._callers[name] = connections
        return waiter

    def remove(self, caller: Caller, waiter: Waiter) -> None:
        """Take out one that has given up, if it is still there."""
        connections = self._callers.get(caller.name, {})
        waiters = connections.get(caller.connection, {})
        waiters.pop(waiter, None)
        if not waiters:
            connections.pop(caller.connection, None)
        if not connections:
            self._callers.pop(caller.name, None)
