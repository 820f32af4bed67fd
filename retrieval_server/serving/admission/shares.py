"""How much of the work each caller has in progress, and how many turns it waits for more of it.

Callers take turns, and so do the connections of one caller (see ``turns.py``).
"""

from __future__ import annotations

from retrieval_server.serving.admission.callers import Caller

SHARE_WEIGHT = 0.05  # of the last search that ended in a caller's share


class Shares:
    """The searches in progress by caller; each has a size.

    Attributes:
        total: the sum of all sizes.
    """

    def __init__(self) -> None:
        self.total = 0
        self._sizes: dict[bytes | str, dict[str, int]] = {}  # by name, and by connection
        self._shares: dict[Caller, float] = {}  # of what has ended lately

    def add(self, caller: Caller, size: int) -> None:
        """Begin work of a caller."""
        connections = self._sizes.setdefault(caller.name, {})
        connections[caller.connection] = connections.get(caller.connection, 0) + size
        self.total += size
        self._shares.setdefault(caller, 1 / (len(self._shares) + 1))

    def remove(self, caller: Caller, size: int) -> None:
        """End work of a caller."""
        connections = self._sizes[caller.name]
        connections[caller.connection] -= size
        self.total -= size
        if not connections[caller.connection]:
            del connections[caller.connection], self._shares[caller]
        if not connections:
            del self._sizes[caller.name]

    def count_end(self, caller: Caller) -> None:
        """Count a search that has ended while others waited."""
        for each, share in self._shares.items():
            self._shares[each] = share + SHARE_WEIGHT * ((each == caller) - share)

    def of(self, caller: Caller) -> int:
        """The size of what a caller has in progress, on all its connections."""
        return sum(self._sizes.get(caller.name, {}).values())

    def turns(self, caller: Caller, size: int) -> float:
        """Estimate the work until further work of a caller has ended, its own included.

        Those who have less in progress have as many turns as they need before; the others have as
        many as this caller. While it waits, they may begin more: as much more as their share of
        what has ended lately, but they get no more turns than this caller.

        Args:
            caller: who has the further work.
            size: of the further work.
        """
        connections = self._sizes.get(caller.name, {})
        own = connections.get(caller.connection, 0) + size
        rivals = [count for name, count in connections.items() if name != caller.connection]
        same_caller = own + sum(min(count, own) for count in rivals)
        others = [sum(each.values()) for name, each in self._sizes.items() if name != caller.name]
        turns = same_caller + sum(min(count, same_caller) for count in others)
        most = own * (1 + len(rivals)) * (1 + len(others))
        return max(turns, min(most, own / self._shares.get(caller, 1.0)))
