"""Polling: what the log says of a check that fails again and again."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from retrieval_server.errors import EngineError
from retrieval_server.serving.served.polling import Polling


def logged(outcomes: Iterator[Exception | None], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Poll until the outcomes are used up; the lines of the log."""

    async def poll() -> None:
        done = asyncio.Event()

        async def check() -> None:
            try:
                outcome = next(outcomes)
            except StopIteration:
                done.set()
                await asyncio.Event().wait()  # until it is stopped
            if outcome is not None:
                raise outcome

        polling = Polling(check, "the check")
        polling.start(0)
        await done.wait()
        await polling.stop()

    with caplog.at_level(logging.INFO):
        asyncio.run(poll())
    return [record.message for record in caplog.records if record.name.endswith("polling")]


def test_repeated_failure_is_logged_once_until_it_changes_or_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stale = [OSError(116, "Stale file handle") for _ in range(3)]
    away = [EngineError("away") for _ in range(2)]
    outcomes = iter([None, *stale, *away, None, None, OSError(5, "Input/output error")])
    assert logged(outcomes, caplog) == [
        "the check fails: OSError: [Errno 116] Stale file handle",
        "the check fails: EngineError: away",
        "the check works again",
        "the check fails: OSError: [Errno 5] Input/output error",
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_failure_that_nobody_foresaw_has_one_traceback(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = iter([ZeroDivisionError("by zero") for _ in range(3)])
    assert logged(outcomes, caplog) == ["the check fails: ZeroDivisionError: by zero"]
    assert caplog.text.count("Traceback") == 1
