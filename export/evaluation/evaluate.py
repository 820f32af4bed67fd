"""The evaluation of an index by the paper's ablation (Table 1), on any dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from export.descriptors.engine_choice import EngineChoice
from export.evaluation.ablation import METHODS, Method, methods_for, rate_queries
from export.evaluation.part import answerable, searched_rows
from export.evaluation.query_descriptors import describe_images, read_queries
from export.evaluation.results import Evaluation, RatedQuery, WordsChange
from export.evaluation.statistics import categories_of, rows_of, words_changes
from export.ground_truth.database import IndexDatabase
from export.ground_truth.measurable import check_readable
from export.ground_truth.queries import read_ground_truth
from retrieval_server.errors import ImageError
from retrieval_server.filters.typed import ALL_PRODUCTS, TypedFilter
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.reader import can_read
from retrieval_server.retrieval.search_request import DEFAULT_KEEP


def evaluate(
    dataset: Path,
    bundle: IndexBundle,
    engine: EngineChoice,
    keep: int = DEFAULT_KEEP,
    ground_truth: Path | None = None,
    where: TypedFilter = ALL_PRODUCTS,
    group_by: str | None = None,
) -> Evaluation:
    """Measure mAP@7 of the baseline, of every k of the paper, and of words.

    Typed words are rated if the ground truth has them, read words if the reader is exported; none
    are if the profile's β is 0.

    Where the ground truth names products, results and true matches are products: each counts once,
    by its best image. Results that are grouped by another column are images, of which the first of
    each product counts.

    With conditions, only the true matches that meet them count. A query without such a match has
    none to find, so no figure includes it.

    Args:
        dataset: folder of the catalogue.
        bundle: the index of the dataset's catalogue.
        engine: what computes the descriptors of the queries, by the models of the index.
        keep: the k, 1 to 6, that is compared with the baseline by category and by query.
        ground_truth: its file; None takes the dataset's own.
        where: which products may be found.
        group_by: column of whose values the best image each is found; None takes the column of the
            true matches, if they are products.

    Raises:
        RetrievalError: if the ground truth cannot be used, the models differ from the index's,
            no query image can be read, no query has a true match that may be found, or a condition
            or ``group_by`` does not suit the columns of the index.
    """
    truth = read_ground_truth(ground_truth or dataset, IndexDatabase(bundle))
    searched = searched_rows(bundle, where)
    queries = answerable(truth, bundle, searched).queries
    retriever, described = describe_images([query.image for query in queries], bundle, engine)
    answered = [
        (q, d) for q, d in zip(queries, described, strict=True) if not isinstance(d, ImageError)
    ]
    check_readable(answered, queries, dataset)
    read = None
    has_weight = bundle.profile.text_weight > 0
    if has_weight and can_read(bundle.profile, ModelRepository(engine.repository)):
        read = read_queries([q.image for q, _ in answered], bundle.profile.name, engine)
    methods = methods_for(queries, keep, read) if has_weight else METHODS
    rated = rate_queries(
        retriever,
        replace(truth, queries=tuple(q for q, _ in answered)),
        [d for _, d in answered],
        methods,
        read,
        where.filter,
        group_by,
    )
    detailed = next(method.name for method in METHODS if method.keep == keep)
    return Evaluation(
        dataset=dataset.resolve().name,
        index_version=bundle.version,
        profile=bundle.profile.name,
        products=len(bundle),
        queries=len(rated),
        items=len({query.item for query in rated}),
        unreadable={
            q.image.name: d.problem
            for q, d in zip(queries, described, strict=True)
            if isinstance(d, ImageError)
        },
        rows=tuple(rows_of([(method.name, method.keep) for method in methods], rated)),
        detailed=detailed,
        categories=tuple(categories_of([method.name for method in methods], detailed, rated)),
        words=tuple(_words_changes(methods, detailed, rated)),
        text_weight=bundle.profile.text_weight,
        rated_queries=tuple(rated),
        by_product=truth.by_product,
        group_by=group_by or truth.group_by,
        where=tuple(where.conditions),
        searched=int(searched.sum()),
        unanswerable=len(truth.queries) - len(queries),
        warnings=tuple(bundle.manifest.warnings),
    )


def _words_changes(
    methods: Sequence[Method], detailed: str, rated: Sequence[RatedQuery]
) -> Iterator[WordsChange]:
    """What each kind of words changes with refinement; nothing if there are no words."""
    without = [method.name for method in methods].index(detailed)
    for position, method in enumerate(methods):
        if method.words and method.keep is not None:
            yield from words_changes(method.words, (without, position), rated)
