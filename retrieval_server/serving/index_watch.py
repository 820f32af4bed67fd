"""Reloads the index without a restart: polls the file ``current``, and serves what it names.

The server opens the new version beside the old one, compares every file with its checksum, searches
once and verifies the engine, while the old version answers. It does not serve a version that fails
any of this: the log has the reason, and it tries again later. Until the swap both are in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from retrieval_server.errors import IndexBundleError, RetrievalError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import current_version, open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.retrieval.open_retriever import open_retriever
from retrieval_server.serving.polling import Polling
from retrieval_server.serving.served_index import ServedIndex

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_S = 300.0  # reading a refused version whole again is too costly for every poll


class IndexWatch:
    """Keeps the served index the one that ``current`` names, while ``polling`` runs.

    Args:
        path: the index folder; the folder of a version never gets another version.
        repository: the models that are served.
        served: holds the index that is served; gets the new one.
        metrics: counts the reloads.

    Attributes:
        polling: calls ``poll``.
    """

    def __init__(
        self, path: Path, repository: ModelRepository, served: ServedIndex, metrics: ServerMetrics
    ) -> None:
        self._path = path
        self._repository = repository
        self._served = served
        self._metrics = metrics
        self._refused: tuple[str, float] | None = None  # a version, and when to try it again
        self.polling = Polling(self.poll, "cannot tell whether there is a new index")

    async def poll(self) -> None:
        """Serve the version that ``current`` names, if it is a new one and passes every check."""
        version = current_version(self._path)
        if version is None or version == self._served.retriever.bundle.version:
            return
        if self._refused is not None:
            refused, again_at = self._refused
            if version == refused and time.monotonic() < again_at:
                return
        try:
            old = self._served.retriever
            bundle = await _in_a_thread(lambda: self._verified(old.bundle.profile.name))
            retriever = await open_retriever(
                bundle, self._repository, lambda: old.engine, old.parallelism, owns_engine=False
            )
        except (RetrievalError, OSError) as error:
            self._refused = (version, time.monotonic() + RETRY_S)
            self._metrics.reloads.labels("refused").inc()
            log.error(
                "%s is not served, %s still is: %s",
                version,
                self._served.retriever.bundle.version,
                error,
            )
            return
        self._served.retriever = retriever
        self._metrics.reloads.labels("served").inc()
        log.info(
            "serving %s (%s products) in place of %s",
            retriever.bundle.version,
            f"{len(retriever.bundle):,}",
            old.bundle.version,
        )

    def _verified(self, profile: str) -> IndexBundle:
        """Open the version that ``current`` names and compare every file with its checksum."""
        bundle = open_index(self._path)
        if bundle.profile.name != profile:
            raise IndexBundleError(
                f"it is of profile {bundle.profile.name}, the server of {profile}. "
                "Start the server again."
            )
        bundle.verify()
        return bundle


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
