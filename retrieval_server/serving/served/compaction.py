"""Compaction by itself: the writer starts ``beauty-export compact`` when there are enough changes.

The work needs packages that the server does not, memory, and many cores for a while, so a process
of its own does it, at the lowest priority. A server that stops ends the process. If the server is
killed, the process goes on, and the next writer takes what it makes. Like any compaction, it loses
no change when it is killed itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from retrieval_server.command_line.outcome import ERROR
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.serving.served.change_feed import ChangeFeed
from retrieval_server.serving.served.polling import Polling
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.serving.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PAUSE_S = 60.0  # between two compactions
RETRY_S = 600.0  # after one that has failed
END_WITHIN_S = 5.0  # a process that is told to end, before it is killed
LOWEST_PRIORITY = 19  # nice(2)
EXTRA = "index"  # what pip installs for the command
CODE = Path(__file__).parents[2]  # where Python finds this release


class Compaction:
    """Starts one compaction at a time, while ``polling`` runs.

    Args:
        served: gets what the last compaction came to, for the status and the metrics.
        feed: knows how many changes there are, and whether this server writes them.
        root: the index folder; None where it is none.
        settings: the server's.
        metrics: counts the compactions.

    Attributes:
        polling: calls ``poll``.
    """

    def __init__(
        self,
        served: ServedIndex,
        feed: ChangeFeed,
        root: Path | None,
        settings: Settings,
        metrics: ServerMetrics,
    ) -> None:
        self._served, self._feed, self._root = served, feed, root
        self._settings, self._metrics = settings, metrics
        self._again_at = 0.0
        self.polling = Polling(self.poll, "the check whether to compact")

    def start(self) -> None:
        """Start to look for enough changes, unless nothing could come of it; then say why."""
        is_wanted = self._settings.writable and self._settings.compact_after > 0
        if not is_wanted or self._settings.store is not None:  # an index in a store has none
            return
        if obstacle := self._obstacle():
            log.warning(
                "changes are not compacted by themselves: %s Run beauty-export compact from time "
                "to time. --compact-after 0 ends this warning.",
                obstacle,
            )
            return
        self.polling.start(LOOK_EVERY_S)

    async def poll(self) -> None:
        """Compact if this server is the writer, and has enough changes."""
        is_enough = self._feed.pending >= self._settings.compact_after
        if not self._feed.is_writer or not is_enough:
            self._served.failed_compaction = None  # another one may have been made by hand
            return
        if time.monotonic() < self._again_at:
            return
        self._served.is_compacting = True
        try:
            failure = await self._compact()
        finally:
            self._served.is_compacting = False
        self._served.failed_compaction = failure
        self._metrics.compactions.labels("failed" if failure else "done").inc()
        pause_s = RETRY_S if failure else PAUSE_S
        self._again_at = time.monotonic() + pause_s
        if failure:
            log.error("%s The next attempt comes in %g s.", failure, pause_s)

    async def _compact(self) -> str | None:
        """Run the command to its end; what a person should know if it has failed."""
        assert self._root is not None, "there is no obstacle"
        log.info("compacting %s changes", f"{self._feed.pending:,}")
        command = [sys.executable, "-P", "-m", "export", "compact", str(self._root.resolve())]
        command.append(f"--keep-versions={self._settings.keep_versions}")
        try:
            reason = await _failure(command)
        except OSError as error:
            reason = str(error)
        return reason and f"The compaction of the changes has failed: {reason.rstrip('.')}."

    def _obstacle(self) -> str:
        """Why this server cannot compact; empty if it can."""
        if self._root is None:
            return "--index is a version, not an index folder."
        if not self._settings.reload_every_s:
            return "--reload-every-s is 0, so this server takes no new version."
        if missing := _missing_package():
            return f"that needs {missing}; install it with: pip install '.[{EXTRA}]'."
        return ""


async def _failure(command: list[str]) -> str | None:
    """Run a command, and log what it says; why it has failed, or None if it has not.

    A task that is cancelled ends the command.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": _with(CODE, os.environ.get("PYTHONPATH"))},
        start_new_session=True,  # Ctrl-C is for the server, which ends the command
    )
    try:
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST_PRIORITY)
        last = ""
        assert process.stderr is not None, "it is a pipe"
        async for line in process.stderr:
            last = line.decode(errors="replace").strip()
            log.info("compaction: %s", last)
        status = await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)
    if status == 0:
        return None
    return last.removeprefix(ERROR) if last.startswith(ERROR) else f"exit status {status}"


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_WITHIN_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _missing_package() -> str:
    """A package that the command needs and this environment lacks; empty if there is none."""
    for requirement in distribution("beauty-retrieval").requires or ():
        name = re.match(r"[\w.-]+", requirement)
        if name is None or f'extra == "{EXTRA}"' not in requirement:
            continue
        try:
            distribution(name[0])
        except PackageNotFoundError:
            return name[0]
    return ""


def _with(folder: Path, python_path: str | None) -> str:
    return os.pathsep.join([str(folder), *([python_path] if python_path else [])])
