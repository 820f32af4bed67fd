"""Verifies that an engine computes the descriptors that an index was built with."""

from __future__ import annotations

import asyncio

from retrieval_server.engines.engine import PRECISIONS, Engine, precisions_agree
from retrieval_server.errors import EngineDeadlineError, ModelMismatchError
from retrieval_server.index.reference_image import check_reference, reference_image
from retrieval_server.index.searched_index import SearchedIndex


class EngineCheck:
    """Compares an engine with an index: once for each generation of the engine.

    Args:
        bundle: the index, which holds the descriptors of the reference image.
        engine: the engine to verify.
    """

    def __init__(self, bundle: SearchedIndex, engine: Engine) -> None:
        self._bundle = bundle
        self._engine = engine
        self._verified_generation: int | None = None
        self._lock = asyncio.Lock()

    async def verify(self, timeout_s: float | None = None) -> None:
        """Describe the reference image, unless this generation of the engine is verified.

        Args:
            timeout_s: seconds the caller waits; None for as long as the engine's settings allow.

        Raises:
            ModelMismatchError: if the precision or the descriptors differ, naming them.
            EngineDeadlineError: if the engine does not answer in time.
            EngineError: if the models refuse or cannot be reached.
        """
        if self._verified_generation == self._engine.generation:
            return
        _require_precision(self._bundle, self._engine.name)
        profile = self._bundle.profile
        image = reference_image(profile.side)[None]
        try:
            async with asyncio.timeout(timeout_s), self._lock:
                while self._verified_generation != (generation := self._engine.generation):
                    described = await self._engine.infer(profile.name, image, timeout_s)
                    check_reference(
                        self._bundle.place, self._bundle.reference_descriptors, described
                    )
                    self._verified_generation = generation
        except TimeoutError as error:
            raise EngineDeadlineError(
                "The models were not verified against the index within the deadline."
            ) from error


def _require_precision(bundle: SearchedIndex, engine: str) -> None:
    """Refuse an engine that is known to compute in another precision than the index records."""
    indexed, computed = bundle.manifest.precision, PRECISIONS.get(engine)
    if precisions_agree(indexed, computed):
        return
    fitting = [f"--engine {name}" for name, made in PRECISIONS.items() if made == indexed]
    raise ModelMismatchError(
        f"Index {bundle.place} was described in {indexed}, and the engine {engine} computes in "
        f"{computed}. Use {' or '.join(fitting) or 'the engine that it was built with'}, or build "
        f"the index again with: beauty-export index --engine {engine}"
    )
