"""The paper's ablation (Table 1) on any folder with ``catalog.csv`` and ``ground_truth.csv``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from export.ground_truth import Query, read_ground_truth
from export.metrics import (
    RESULTS,
    AveragePrecision,
    average_precision,
    changed_percent,
    mean_average_precision,
)
from export.progress import progress
from retrieval_server.engines import TritonConnection, create_engine
from retrieval_server.errors import CatalogueError, ImageError
from retrieval_server.index_bundle import IndexBundle
from retrieval_server.model_repository import ModelRepository
from retrieval_server.preprocessing import read_image
from retrieval_server.retriever import Descriptors, Retriever, SearchParameters
from retrieval_server.settings import available_cores

KEEPS = (6, 5, 4, 3, 2, 1)  # Table 1's order


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        method: "baseline", or "k = 3".
        keep: the paper's k; None for the baseline.
        map_at_7: by both conventions.
        improved_percent: queries whose average precision (gt) rose against the baseline.
        impaired_percent: queries whose average precision (gt) fell.
    """

    method: str
    keep: int | None
    map_at_7: AveragePrecision
    improved_percent: float | None
    impaired_percent: float | None


@dataclass(frozen=True)
class Evaluation:
    """The table and what it was measured on.

    Attributes:
        dataset: the folder.
        index_version: the index that was searched.
        profile: the profile of the index.
        products: database images.
        queries: queries that were answered.
        unreadable: query images that could not be read; they count nowhere.
        rows: baseline, then k = 6 to 1.
        warnings: what a reader should know, such as random weights.
    """

    dataset: str
    index_version: str
    profile: str
    products: int
    queries: int
    unreadable: tuple[str, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """This evaluation as plain JSON values."""
        return asdict(self)

    def table(self) -> RenderableType:
        """This evaluation for people, in the form of the paper's Table 1."""
        title = (
            f"{self.dataset}: {self.queries:,} queries, {self.products:,} images, {self.profile}"
        )
        table = Table(title=title)
        table.add_column("Method")
        for heading in ("mAP@7 (gt)", "mAP@7 (hits)", "Improved %", "Impaired %"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            changes = (row.improved_percent, row.impaired_percent)
            table.add_row(
                row.method,
                f"{row.map_at_7.gt:.6f}",
                f"{row.map_at_7.hits:.6f}",
                *("-" if change is None else f"{change:.1f}" for change in changes),
            )
        legend = (
            "gt: divided by min(relevant, 7); hits: divided by the hits found. "
            "Improved and impaired are by gt."
        )
        return Group(table, Text(legend))


def evaluate(
    dataset: Path,
    bundle: IndexBundle,
    model_repository: Path,
    engine: str = "embedded",
    triton: TritonConnection | None = None,
) -> Evaluation:
    """Measure the baseline and every k of the paper.

    Args:
        dataset: folder with the ground truth.
        bundle: the index of the dataset's catalogue.
        model_repository: the models the index was built with.
        engine: what computes the descriptors of the queries.
        triton: where Triton is, for the engine ``triton``.

    Raises:
        RetrievalError: if the ground truth cannot be used, the models differ from the index's,
            or no query image can be read.
    """
    members = ModelRepository(model_repository).ensemble(bundle.profile.name)
    bundle.require_models({member.name: member.digest for member in members})
    queries = read_ground_truth(dataset, bundle)
    cores = available_cores()
    retriever = Retriever(
        bundle,
        create_engine(
            engine,
            model_repository,
            bundle.profile.name,
            workers=cores,
            threads_per_run=1,
            triton=triton,
        ),
    )
    described = asyncio.run(_describe(queries, retriever))
    answered = [(q, d) for q, d in zip(queries, described, strict=True) if d is not None]
    if not answered:
        raise CatalogueError(f"None of the {len(queries)} query images of {dataset} can be read.")
    unreadable = [q.image.name for q, d in zip(queries, described, strict=True) if d is None]
    return Evaluation(
        dataset=dataset.resolve().name,
        index_version=bundle.version,
        profile=bundle.profile.name,
        products=len(bundle),
        queries=len(answered),
        unreadable=tuple(unreadable),
        rows=_rows(retriever, answered),
        warnings=tuple(bundle.manifest.warnings),
    )


async def _describe(queries: Sequence[Query], retriever: Retriever) -> list[Descriptors | None]:
    """Descriptors of each query; None for an unreadable image."""
    limit = asyncio.Semaphore(retriever.engine.in_flight)
    side = retriever.bundle.profile.side

    async def describe(query: Query) -> Descriptors | None:
        async with limit:
            try:
                pixels = await asyncio.to_thread(read_image, query.image, side)
            except ImageError:
                return None
            finally:
                advance(1)
            return await retriever.encode(pixels)

    await retriever.check_engine()
    with progress("queries", len(queries)) as advance:
        described = await asyncio.gather(*(describe(query) for query in queries))
    await retriever.engine.close()
    return described


def _rows(retriever: Retriever, answered: Sequence[tuple[Query, Descriptors]]) -> tuple[Row, ...]:
    baseline = _rate(retriever, answered, SearchParameters(top_k=RESULTS, refine=False))
    rows = [Row("baseline", None, mean_average_precision(baseline), None, None)]
    for keep in KEEPS:
        refined = _rate(retriever, answered, SearchParameters(top_k=RESULTS, keep=keep))
        improved, impaired = changed_percent(baseline, refined)
        mean = mean_average_precision(refined)
        rows.append(Row(f"k = {keep}", keep, mean, improved, impaired))
    return tuple(rows)


def _rate(
    retriever: Retriever,
    answered: Sequence[tuple[Query, Descriptors]],
    parameters: SearchParameters,
) -> list[AveragePrecision]:
    ratings = []
    for query, descriptors in answered:
        matches = retriever.search(descriptors, parameters).matches
        results = [retriever.bundle.product_id(match.row) for match in matches]
        ratings.append(average_precision(results, query.relevant))
    return ratings
