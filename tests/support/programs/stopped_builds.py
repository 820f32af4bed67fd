"""Programs that build an index and stop on the way, to be killed there."""

import asyncio
import sys
import threading

import numpy as np
from numpy.typing import NDArray

from export.cli import main
from export.descriptors import engine_choice
from export.descriptors.block import BLOCK_ROWS
from export.text_index import build
from retrieval_server.engines.embedded import EmbeddedEngine

STOPS_AFTER = BLOCK_ROWS + 20  # images
CORES = 2  # few enough images in flight for the first block to be finished by then


def stop_amid_extraction() -> None:
    """Run ``beauty-export``; the engine stops after ``STOPS_AFTER`` images."""
    infer, images = EmbeddedEngine.infer, 0

    async def infer_or_wait(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        nonlocal images
        images += len(batch)
        if images > STOPS_AFTER:
            await asyncio.Event().wait()
        return await infer(self, ensemble, batch)

    EmbeddedEngine.infer = infer_or_wait
    engine_choice.available_cores = lambda: CORES
    main()


def stop_amid_the_text_index() -> None:
    """Run ``beauty-export``; it stops after the function that the first argument names."""
    function = sys.argv.pop(1)
    work = getattr(build, function)

    def work_and_wait(*arguments: object, **options: object) -> None:
        work(*arguments, **options)
        sys.stdout.write("waiting\n")
        sys.stdout.flush()
        threading.Event().wait()

    setattr(build, function, work_and_wait)
    main()
