"""Serves a rebuilt index without a restart: looks what ``current`` names, and swaps.

The new version is opened beside the old one, every file compared with its checksum, its first
search made and its canary proved, while the old one goes on answering. A version that fails any of
this is not served; the log says why, and it is tried again later. Meanwhile both are in memory.
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
from retrieval_server.index.publish import current_version, open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.serving.served_index import ServedIndex

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_S = 300.0  # a refused version is read whole again, so not at every look


class IndexWatch:
    """Looks after the served index, from its ``start`` to its ``stop``.

    Args:
        path: the index folder; a version's own folder never changes.
        repository: the models that are served.
        served: where the new index goes.
        metrics: where to count.
    """

    def __init__(
        self, path: Path, repository: ModelRepository, served: ServedIndex, metrics: ServerMetrics
    ) -> None:
        self._path = path
        self._repository = repository
        self._served = served
        self._metrics = metrics
        self._refused: tuple[str, float] | None = None  # a version, and when to try it again
        self._watch: asyncio.Task[None] | None = None

    def start(self, every_s: float) -> None:
        """Look again and again."""
        self._watch = asyncio.create_task(self._look_again_and_again(every_s))

    async def stop(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def look(self) -> None:
        """Serve the version that ``current`` names, if it is another one and all is well."""
        version = current_version(self._path)
        if version is None or version == self._served.retriever.bundle.version:
            return
        if self._refused is not None:
            refused, again_at = self._refused
            if version == refused and time.monotonic() < again_at:
                return
        try:
            retriever = await _in_a_thread(self._opened)
            await retriever.check_engine()
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
        old, self._served.retriever = self._served.retriever, retriever
        self._metrics.reloads.labels("served").inc()
        log.info(
            "serving %s (%s products) in place of %s",
            retriever.bundle.version,
            f"{len(retriever.bundle):,}",
            old.bundle.version,
        )

    def _opened(self) -> Retriever:
        """Open what ``current`` names, verify all of it, and search once."""
        old = self._served.retriever
        bundle = open_index(self._path)
        if bundle.profile.name != old.bundle.profile.name:
            raise IndexBundleError(
                f"it is of profile {bundle.profile.name}, the server of {old.bundle.profile.name}. "
                "Start the server again."
            )
        members = self._repository.ensemble(bundle.profile.name)
        bundle.require_models({member.name: member.digest for member in members})
        bundle.verify()
        retriever = Retriever(bundle, old.engine, old.parallelism)
        retriever.warm_up()
        return retriever

    async def _look_again_and_again(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.look()
            except Exception:
                log.exception("cannot tell whether there is a new index")


async def _in_a_thread(work: Callable[[], Result]) -> Result:
    """Run in a thread that a server which stops does not wait for: gigabytes may be to be read."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def deliver(result: Result | None, error: Exception | None) -> None:
        if outcome.done():  # nobody waits any more
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
