"""Searches at the same time share a scan: one pass over the coarse level for up to four of them.

A search of a large database reads the whole coarse level, for which it waits on the memory. A pass
for four searches takes little longer than one for a single search. So a search is a generator: it
pauses where it needs the scan, yields it, and goes on when whoever runs the search has scanned.
Nothing is computed in another way or order, so each search has the result that it has alone.

A search that needs no scan never pauses; it ends when it is started.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from retrieval_server.exact_search.kernels.coarse import QUERIES_AT_ONCE

Result = TypeVar("Result")


class Scan(Protocol):
    """A scan that a search needs."""

    def can_share(self, other: Scan) -> bool:
        """Whether a pass for both costs less than one for each; true for the same scan."""

    def run_with(self, others: Sequence[Any]) -> None:
        """Scan, in one pass with others that can share it, all of this thread."""


Search: TypeAlias = Generator[Scan, None, Result]


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """How a search has ended.

    Attributes:
        number: which of the searches.
        outcome: its result, or the error that it has raised.
    """

    number: int
    outcome: Result | Exception

    def result(self) -> Result:
        """The result.

        Raises:
            Exception: the error of the search.
        """
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def unshared(rank: Callable[[], Result]) -> Search[Result]:
    """A search that shares nothing."""
    yield from ()
    return rank()


def finish(search: Search[Result]) -> Result:
    """Run a search alone.

    Raises:
        Exception: what the search raises.
    """
    [ended] = finish_together([search])
    return ended.result()


def finish_together(searches: Iterable[Search[Result]]) -> Iterator[Ended[Result]]:
    """Run searches to their ends, in this thread.

    Args:
        searches: none of which was started. The next one is asked for when there is place for it in
            the scan that others are paused for, and when the others have ended.

    Yields:
        How each search has ended, as soon as it has. The error of one does not concern the others.
    """
    numbered = enumerate(searches)
    paused: list[_Paused[Result]] = []
    while True:
        while len(paused) < QUERIES_AT_ONCE and (following := next(numbered, None)) is not None:
            yield from _advance(*following, paused)
        if not paused:
            return
        together = [each for each in paused if paused[0].scan.can_share(each.scan)]
        paused = [each for each in paused if each not in together]
        error = _scan([each.scan for each in together])
        for each in together:
            yield from _advance(each.number, each.search, paused, error)


def results_together(
    searches: Iterable[Search[Result]], advance: Callable[[int], None]
) -> list[Result]:
    """Run searches to their ends; their results, in the order of the searches.

    Args:
        searches: none of which was started.
        advance: told 1 when a search has ended.

    Raises:
        Exception: the error of the first search that has one.
    """
    results = {}
    for ended in finish_together(searches):
        results[ended.number] = ended.result()
        advance(1)
    return [results[number] for number in range(len(results))]


class _Paused(NamedTuple, Generic[Result]):
    """A search that needs a scan."""

    number: int
    search: Search[Result]
    scan: Scan


def _advance(
    number: int,
    search: Search[Result],
    paused: list[_Paused[Result]],
    error: Exception | None = None,
) -> Iterator[Ended[Result]]:
    """Let a search go on to its next scan, or to its end; an error of its scan is raised in it."""
    try:
        scan = next(search) if error is None else search.throw(error)
    except StopIteration as end:
        yield Ended(number, end.value)
    except Exception as raised:
        yield Ended(number, raised)
    else:
        paused.append(_Paused(number, search, scan))


def _scan(scans: Sequence[Scan]) -> Exception | None:
    """Scan once for all; an error is returned."""
    first, *others = scans
    try:
        first.run_with(others)
    except Exception as error:
        return error
    return None
