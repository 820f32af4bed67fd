"""The method, from a photo to its products: encode, fuse, refine, take the best.

Section 2.3 of the paper in four calls. Everything here is exact and deterministic: the same query
has the same answer, whatever else is being served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.engines import Engine
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    QueryError,
    UnknownProductError,
)
from retrieval_server.exact_search.open_search import open_search
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.exact_search.search import SearchLevel
from retrieval_server.exact_search.similarity import NORM_TOLERANCE, Ranking
from retrieval_server.exact_search.warm_up import compile_kernels
from retrieval_server.index.bundle import IndexBundle, Product
from retrieval_server.index.reference_image import canary_image, check_canary
from retrieval_server.models.profile import MAX_ALPHA
from retrieval_server.retrieval.refinement import text_subset
from retrieval_server.retrieval.search_result import (
    Match,
    SearchResult,
    initial_matches,
    merged_matches,
)

DEFAULT_TOP_K = 7  # the challenge asks for seven
DEFAULT_KEEP = 3  # the best k of the paper's Table 1
MAX_TOP_K = 100

Descriptors = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, kw_only=True)
class SearchParameters:
    """How to search.

    Attributes:
        top_k: number of results.
        keep: the paper's k, how many of the best visual matches stay.
        refine: whether to refine through the textual index.
        alphas: α of eq. (8) by model name, where it differs from the profile's.
    """

    top_k: int = DEFAULT_TOP_K
    keep: int = DEFAULT_KEEP
    refine: bool = True
    alphas: Mapping[str, float] | None = None


class Retriever:
    """Searches one index with one engine.

    Args:
        bundle: the index.
        engine: computes the descriptors of a query.
        parallelism: who helps a lone search; None for nobody.
    """

    def __init__(
        self, bundle: IndexBundle, engine: Engine, parallelism: IntraQueryParallelism | None = None
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.parallelism = parallelism
        self._search = open_search(bundle.descriptors, bundle.levels, parallelism=parallelism)
        self._proved_at: int | None = None  # the engine's doubts when it passed the canary
        self._proving = asyncio.Lock()

    @property
    def search_levels(self) -> tuple[SearchLevel, ...]:
        """What a search reads."""
        return self._search.level_sizes()

    def warm_up(self) -> None:
        """Make the first search as fast as the others: compile, and touch every level."""
        if self.bundle.levels is not None:
            compile_kernels()
        alphas = tuple(self.bundle.profile.alphas.values())
        self._search.rank_all(self._stored(0), alphas, DEFAULT_TOP_K)

    async def encode(self, image: NDArray[np.uint8], timeout_s: float | None = None) -> Descriptors:
        """Describe one image (S, S, 3) uint8 with every backbone.

        If the engine was in doubt since it last proved what it computes, it has to do so first.

        Args:
            image: the query, decoded.
            timeout_s: how long the caller waits; None for as long as the engine's settings allow.

        Raises:
            EngineError: if the models refuse or cannot be reached.
            ModelMismatchError: if they are not the index's any more.
        """
        profile = self.bundle.profile
        started = time.monotonic()
        await self.check_engine(timeout_s)
        if timeout_s is not None:
            timeout_s -= time.monotonic() - started
        described = await self.engine.infer(profile.name, image[None], timeout_s)
        for model, descriptors in described.items():
            if not np.isfinite(descriptors).all():
                raise EngineError(f"Model {model} computed a descriptor that is not finite.")
        return tuple(described[model][0] for model in profile.models)

    async def check_engine(self, timeout_s: float | None = None) -> None:
        """Refuse an engine that does not compute the index's descriptors; warms it up as well.

        One that has proved it, and was never in doubt since, is not asked again.

        Args:
            timeout_s: how long the caller waits; None for as long as the engine's settings allow.

        Raises:
            ModelMismatchError: naming the model.
            EngineError: if the models refuse or cannot be reached.
        """
        if self._proved_at == self.engine.doubts:
            return
        profile = self.bundle.profile
        canary = canary_image(profile.side)[None]
        try:
            async with asyncio.timeout(timeout_s), self._proving:
                while self._proved_at != (doubts := self.engine.doubts):
                    described = await self.engine.infer(profile.name, canary, timeout_s)
                    check_canary(self.bundle.folder, self.bundle.canary, described)
                    self._proved_at = doubts
        except TimeoutError as error:
            raise EngineDeadlineError(
                "The models did not prove within the deadline that they are the index's."
            ) from error

    def check_descriptors(self, by_model: Mapping[str, NDArray[np.float32]]) -> Descriptors:
        """Put a caller's descriptors into the profile's order.

        Raises:
            QueryError: if one is missing, unknown, of another length, or not of unit norm.
        """
        models = self.bundle.manifest.models
        if set(by_model) != set(models):
            raise QueryError(
                "descriptors", f"need exactly the models {list(models)}, got {sorted(by_model)}."
            )
        for name in self.bundle.profile.models:
            vector = by_model[name]
            if vector.shape != (models[name].dimension,):
                raise QueryError(
                    "descriptors",
                    f"{name} needs {models[name].dimension} values, got {vector.size}.",
                )
            norm = float(np.linalg.norm(vector.astype(np.float64)))
            if norm != 0 and not abs(norm - 1) <= NORM_TOLERANCE:
                raise QueryError("descriptors", f"{name} must have L2 norm 1, got {norm:.6g}.")
        return tuple(by_model[model] for model in self.bundle.profile.models)

    def similar_to(self, product_id: str, parameters: SearchParameters) -> SearchResult:
        """Search with a product's own descriptors; the product is left out.

        Raises:
            QueryError: if a parameter is unusable.
            UnknownProductError: if the index has no such product.
        """
        row = self.bundle.row_of(product_id)
        if row is None:
            raise UnknownProductError(product_id)
        return self.search(self._stored(row), parameters, exclude=row)

    def search(
        self, query: Descriptors, parameters: SearchParameters, exclude: int | None = None
    ) -> SearchResult:
        """Find the products that match a query's descriptors.

        Args:
            query: one (C_n,) float32 for each backbone, in the profile's order.
            parameters: how to search.
            exclude: a row to leave out.

        Raises:
            QueryError: if a parameter is unusable, naming it.
        """
        (result,) = self.search_each(query, (parameters,), exclude)
        return result

    def search_each(
        self, query: Descriptors, parameters: Sequence[SearchParameters], exclude: int | None = None
    ) -> list[SearchResult]:
        """Search in several ways; what they have in common, the initial ranking, is found once.

        Args:
            query: one (C_n,) float32 for each backbone, in the profile's order.
            parameters: the ways to search.
            exclude: a row to leave out.

        Returns:
            For each of them the same result as that of ``search``.

        Raises:
            QueryError: if a parameter is unusable, naming it.
        """
        rankings: dict[tuple[tuple[float, ...], int], tuple[Ranking, int]] = {}
        results = []
        for each in parameters:
            alphas = self._alphas(each)
            if (alphas, each.top_k) not in rankings:
                started = time.perf_counter_ns()
                initial = self._search.rank_all(query, alphas, each.top_k, exclude)
                rank_us = (time.perf_counter_ns() - started) // 1000
                rankings[alphas, each.top_k] = initial, rank_us
            results.append(
                self._refined(query, alphas, *rankings[alphas, each.top_k], each, exclude)
            )
        return results

    def _refined(
        self,
        query: Descriptors,
        alphas: tuple[float, ...],
        initial: Ranking,
        rank_us: int,
        parameters: SearchParameters,
        exclude: int | None,
    ) -> SearchResult:
        """The second stage of Algorithm 1, if it is asked for."""
        started = time.perf_counter_ns()
        matches = kept = initial_matches(initial)
        subset_size = 0
        if parameters.refine and parameters.keep < parameters.top_k:
            subset = text_subset(initial.rows[: parameters.keep], self.bundle.text_index, exclude)
            second = self._search.rank_rows(
                query, alphas, subset.rows, parameters.top_k - parameters.keep
            )
            matches = merged_matches(initial, second, subset, parameters.keep, parameters.top_k)
            subset_size = len(subset.rows)
        refine_us = (time.perf_counter_ns() - started) // 1000
        return SearchResult(matches, kept, subset_size, rank_us, refine_us)

    def _stored(self, row: int) -> Descriptors:
        return tuple(part[row].astype(np.float32) for part in self.bundle.descriptors)

    def product(self, match: Match) -> Product:
        """What the catalogue says about a match."""
        return self.bundle.product(match.row)

    def _alphas(self, parameters: SearchParameters) -> tuple[float, ...]:
        for name, value in (("top_k", parameters.top_k), ("keep", parameters.keep)):
            if not 1 <= value <= MAX_TOP_K:
                raise QueryError(name, f"must be 1..{MAX_TOP_K}, got {value}.")
        wanted = dict(self.bundle.profile.alphas)
        for name, alpha in (parameters.alphas or {}).items():
            if name not in wanted:
                raise QueryError("alpha", f"there is no model {name!r}; there are {list(wanted)}.")
            if not 0 <= alpha <= MAX_ALPHA:
                raise QueryError("alpha", f"{name} must be 0..{MAX_ALPHA:g}, got {alpha}.")
            wanted[name] = alpha
        return tuple(wanted[model] for model in self.bundle.profile.models)
