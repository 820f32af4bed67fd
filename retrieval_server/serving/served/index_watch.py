"""Reloads the index without a restart: polls its source, and serves the version that it names.

The server opens the new version beside the old one, compares every file with its checksum, compares
its products with those of the old one, searches once and verifies the engine, while the old version
answers. It does not serve a version that fails any of this: the log has the reason, and it tries
again later. Until the swap both are in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

from retrieval_server.changes.hand_over import CompactedVersion
from retrieval_server.errors import CurrentFileError, IndexLossError, RetrievalError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.metrics import REFUSALS, ServerMetrics
from retrieval_server.retrieval.open_retriever import open_retriever
from retrieval_server.serving.served.change_feed import ChangeFeed
from retrieval_server.serving.served.index_source import IndexSource, Named
from retrieval_server.serving.served.polling import Polling
from retrieval_server.serving.served.served_index import Refusal, ServedIndex

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_S = 300.0  # reading a refused version whole again is too costly for every poll


class IndexWatch:
    """Keeps the served index the one that its source names, while ``polling`` runs.

    Args:
        source: names the version to serve.
        repository: the models that are served.
        served: holds the index that is served; gets why there is no new one.
        feed: serves the new one, with its changes.
        metrics: counts the reloads.

    Attributes:
        polling: calls ``poll``.
    """

    def __init__(
        self,
        source: IndexSource,
        repository: ModelRepository,
        served: ServedIndex,
        feed: ChangeFeed,
        metrics: ServerMetrics,
    ) -> None:
        self._source = source
        self._repository = repository
        self._served = served
        self._feed = feed
        self._metrics = metrics
        self._refused: tuple[Named, float] | None = None  # and when to try it again
        self.polling = Polling(self.poll, "the check for a new index")

    async def poll(self) -> None:
        """Serve the version that the source names, if it is a new one and passes every check."""
        named, compacted = None, None
        try:
            current = await _in_a_thread(self._source.named)
            is_served = current is None or current.version == self._served.retriever.bundle.version
            if current is not None and is_served:
                compacted = await self._feed.offered()
            named = current
            if compacted is not None:
                named = Named(compacted.version, is_approved=True)
            elif is_served:
                self._note_that_current_is_served()
                return
            if named is not None and self._is_due(named):
                await self._serve(named, compacted)
        except (RetrievalError, OSError) as error:
            self._refuse(named, error)

    def _is_due(self, named: Named) -> bool:
        """Whether to try a version: one that was refused waits, until it is approved."""
        if self._refused is None:
            return True
        refused, again_at = self._refused
        return named != refused or time.monotonic() >= again_at

    async def _serve(self, named: Named, compacted: CompactedVersion | None) -> None:
        """Serve a version in place of the old one.

        Args:
            named: the version.
            compacted: what has to become current first.

        Raises:
            RetrievalError: if it fails a check.
            OSError: if a file cannot be read.
        """
        old = self._served.retriever
        bundle = await _in_a_thread(lambda: self._source.open_checked(named, old.bundle))
        retriever = await open_retriever(
            bundle, self._repository, lambda: old.engine, old.parallelism, owns_engine=False
        )
        await self._feed.serve(retriever, compacted)
        self._served.refusal = None
        self._refused = None
        self._metrics.reloads.labels("served").inc()
        log.info(
            "serving %s (%s products) in place of %s",
            retriever.bundle.version,
            f"{len(retriever.bundle):,}",
            old.bundle.version,
        )

    def _refuse(self, named: Named | None, error: Exception) -> None:
        """Keep the old version, say so unless it has been said, and plan the next attempt."""
        old = self._served.retriever.bundle.version
        if named is None:
            self._refused = None
            message = f"{old} is still served: {error}"
        else:
            self._refused = named, time.monotonic() + _wait_s(error)
            message = f"{named.version} is not served, {old} still is: {error}"
        if self._served.refusal is None or self._served.refusal.message != message:
            log.error(message)
            self._metrics.reloads.labels("refused").inc()
        self._served.refusal = Refusal(cause_of(error), message)

    def _note_that_current_is_served(self) -> None:
        if self._served.refusal is not None:
            log.info("%s is current and served", self._served.retriever.bundle.version)
        self._served.refusal = None
        self._refused = None


def _wait_s(error: Exception) -> float:
    """How long to wait before a refused version is tried again."""
    if isinstance(error, CurrentFileError):  # its folder is not there, which costs little to see
        return 0.0
    if isinstance(error, IndexLossError):  # nothing that can be repaired
        return math.inf
    return RETRY_S


def cause_of(error: Exception) -> str:
    """The cause of a refusal, as the metrics name it."""
    return next((REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS), "files")


async def _in_a_thread(work: Callable[[], Result]) -> Result:
    """Run in a daemon thread, since a server that stops must not wait for gigabytes to be read."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def deliver(result: Result | None, error: Exception | None) -> None:
        if outcome.done():  # the caller was cancelled
            return
        if error is None:
            outcome.set_result(cast("Result", result))
        else:
            outcome.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, name="index-watch", daemon=True).start()
    return await outcome
