"""Average precision of every setting of a grid, from similarities in memory.

The descriptors are computed before, so a setting costs milliseconds. Only the sums of the ratings
by fold are kept, which are enough to choose a setting; the ratings of a chosen setting are computed
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, repeat

import numpy as np
from numpy.typing import NDArray

from export.models.pooling_choice import PoolingChoice
from export.progress import Advance
from export.tuning.described_dataset import DescribedDataset
from export.tuning.rate_settings import RowLists, best_rows, rate_settings
from export.tuning.setting import InitialStage, Setting
from retrieval_server.cores import available_cores

CACHE_BYTES = 1 << 30  # of cosines, which several settings share
CHUNK_VALUES = 1 << 24  # similarities in memory at once, for each thread


class GridRatings:
    """Rates settings on a described dataset.

    Args:
        described: the dataset.
        neighbours: text neighbours of the products, by τ.
        keeps: the k to rate.
        folds: (Q,) fold of each query, from 0.
    """

    def __init__(
        self,
        described: DescribedDataset,
        neighbours: Mapping[float, RowLists],
        keeps: Sequence[int],
        folds: NDArray[np.int64],
    ) -> None:
        self.folds = folds
        self.thresholds = tuple(neighbours)
        self.keeps = tuple(keeps)
        self._described = described
        self._neighbours = neighbours
        self._relevant = described.relevant
        self._groups = described.groups
        self._sums: dict[InitialStage, NDArray[np.float64]] = {}
        self._cosines: dict[tuple[int, str, PoolingChoice], NDArray[np.float64]] = {}

    def rate(self, stages: Iterable[InitialStage], advance: Advance) -> None:
        """Rate initial rankings with every τ and k, on all cores; skips those already rated.

        Args:
            stages: initial rankings; fastest if those with the same descriptors are adjacent.
            advance: told the number of stages finished.
        """
        with ThreadPoolExecutor(available_cores()) as pool:
            for _, same in groupby(stages, key=lambda stage: (stage.side, stage.poolings)):
                group = list(same)
                new = [stage for stage in group if stage not in self._sums]
                if new:
                    sums = pool.map(self._sums_of, new, repeat(self._cosines_of(new[0])))
                    self._sums |= zip(new, sums, strict=True)
                advance(len(group))

    def sums(self, stage: InitialStage) -> NDArray[np.float64]:
        """Sums of the ratings by τ, k and fold, (T, K, F) float64."""
        self.rate((stage,), lambda _: None)
        return self._sums[stage]

    def ratings(self, setting: Setting) -> NDArray[np.float64]:
        """Average precision (gt) of every query, (Q,) float64."""
        keeps = np.array([setting.keep], np.int64)
        return np.concatenate(
            [
                rates[0, 0]
                for rates in self._rates(
                    setting.initial,
                    self._cosines_of(setting.initial),
                    keeps,
                    (setting.threshold,),
                )
            ]
        )

    def _sums_of(
        self, stage: InitialStage, cosines: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        keeps = np.array(self.keeps, np.int64)
        rates = np.concatenate(list(self._rates(stage, cosines, keeps, self.thresholds)), axis=-1)
        count = int(self.folds.max()) + 1
        return np.stack(
            [rates[:, :, self.folds == fold].sum(axis=-1) for fold in range(count)], axis=-1
        )

    def _rates(
        self,
        stage: InitialStage,
        cosines: Sequence[NDArray[np.float64]],
        keeps: NDArray[np.int64],
        thresholds: Sequence[float],
    ) -> Iterator[NDArray[np.float64]]:
        """Ratings (T, K, q) of the queries, q of them at a time."""
        queries, products = cosines[0].shape
        step = max(1, CHUNK_VALUES // products)
        text = self._described.text_cosines
        for first in range(0, queries, step):
            chunk = slice(first, first + step)
            similarities = stage.similarities(
                [part[chunk] for part in cosines], None if text is None else text[chunk]
            )
            best = best_rows(similarities, self._groups)
            indptr = self._relevant.indptr[first : first + step + 1]
            relevant = RowLists(indptr, self._relevant.rows)
            yield np.stack(
                [
                    rate_settings(
                        similarities, best, self._neighbours[t], relevant, keeps, self._groups
                    )
                    for t in thresholds
                ]
            )

    def _cosines_of(self, stage: InitialStage) -> list[NDArray[np.float64]]:
        """Cosines (Q, N) by backbone, from a cache that drops the oldest ones."""
        models = self._described.profile.models
        cosines_of = []
        for model, pooling in zip(models, stage.poolings, strict=True):
            key = (stage.side, model, pooling)
            if key not in self._cosines:
                cosines = self._described.cosines(*key)
                used = sum(cached.nbytes for cached in self._cosines.values())
                while self._cosines and used + cosines.nbytes > CACHE_BYTES:
                    used -= self._cosines.pop(next(iter(self._cosines))).nbytes
                self._cosines[key] = cosines
            cosines_of.append(self._cosines[key])
        return cosines_of
