"""The command ``beauty-server``, changed for a benchmark.

The first argument names the changes, with a comma between them; the others are the command's.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from retrieval_server.cli import main as beauty_server
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.serving.admission.admission import Admission

NO_OP_ENGINE, WITHOUT_LIMITS = "no-op-engine", "without-limits"
NO_LIMITS = ("--max-concurrent-requests", "100000", "--longest-wait-s", "100000")


def main() -> None:
    """Run the command."""
    changes = sys.argv.pop(1).split(",")
    if NO_OP_ENGINE in changes:
        _describe_one_image_only()
    if WITHOUT_LIMITS in changes:
        Admission.overload = lambda *_, **__: None  # type: ignore[method-assign]
        sys.argv += NO_LIMITS
    beauty_server()


def _describe_one_image_only() -> None:
    """Give every image the descriptors of the first one, which the server starts with."""
    infer = EmbeddedEngine.infer
    answers: list[dict[str, NDArray[np.float32]]] = []

    async def repeated(
        self: EmbeddedEngine,
        ensemble: str,
        images: NDArray[np.uint8],
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        if not answers:
            answers.append(await infer(self, ensemble, images, timeout_s))
        return answers[0]

    EmbeddedEngine.infer = repeated  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
