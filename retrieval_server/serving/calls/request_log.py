"""The log of requests: one JSON object for each answer, and one a second for all refusals.

Refusals are many when the server has no time to spare; a line for each would slow it further.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable

import grpc

from retrieval_server.access.caller_names import current_caller

log = logging.getLogger(__name__)

REFUSALS_EVERY_S = 1.0


class RequestLog:
    """Writes the log of requests.

    Args:
        clock: returns seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refusals: Counter[str] = Counter()
        self._next_refusals_at = 0.0

    def answered(self, request_id: str, status: grpc.StatusCode, **fields: object) -> None:
        """Log one request that was worked on.

        Args:
            request_id: the id that the caller has, too.
            status: the status that the caller gets.
            fields: whatever else is known.
        """
        caller = current_caller()
        said = {"request_id": request_id, "method": caller.method, "caller": caller.name}
        log.info(json.dumps({**said, "status": status.name, **fields}))

    def refused(self, cause: str) -> None:
        """Count one refusal, and log the number of refusals by cause if it is time to."""
        self._refusals[cause] += 1
        if (now := self._clock()) >= self._next_refusals_at:
            status = grpc.StatusCode.RESOURCE_EXHAUSTED.name
            log.info(json.dumps({"status": status, "refused": dict(self._refusals)}))
            self._refusals.clear()
            self._next_refusals_at = now + REFUSALS_EVERY_S
