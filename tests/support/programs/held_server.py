"""A server process whose searches wait for the test."""

import asyncio
import os

import numpy as np
from numpy.typing import NDArray

from retrieval_server.cli import main
from retrieval_server.engines.embedded import EmbeddedEngine


def serve_held() -> None:
    """Run ``beauty-server``; each search reports on one pipe, and waits for another.

    ``ARRIVED`` and ``RELEASED`` in the environment are the file descriptors of the pipes.
    """
    infer, calls = EmbeddedEngine.infer, []

    async def held(
        self: EmbeddedEngine,
        ensemble: str,
        images: NDArray[np.uint8],
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        calls.append(ensemble)
        if len(calls) > 1:  # the first one warms up
            os.write(int(os.environ["ARRIVED"]), b"x")
            await asyncio.to_thread(os.read, int(os.environ["RELEASED"]), 1)
        return await infer(self, ensemble, images)

    EmbeddedEngine.infer = held
    main()
