"""The calibration of an index on a ground truth: observe, fit, cross-validate, refuse noise.

Every probability that is rated here comes from models that were fitted without the item of the
query: a query's present and absent case, and other photos of the item, are in one fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.calibration.logistic import Cases, fitted, held_out
from export.calibration.observations import AnsweredQuery, Observation, observe
from export.calibration.quality import quality_of
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.query_descriptors import describe_images, read_queries
from export.ground_truth.database import IndexDatabase
from export.ground_truth.folds import folds_of
from export.ground_truth.measurable import check_readable
from export.ground_truth.queries import items_of, read_ground_truth
from export.progress import progress
from retrieval_server.errors import CalibrationError, ImageError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import (
    MATCH_INPUTS,
    CalibratedKind,
    Calibration,
    Quality,
    QueryKind,
)
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.reader import can_read
from retrieval_server.reading.reader import reader_digest

MIN_ITEMS = 10 * len(MATCH_INPUTS)  # ten for each input, the usual rule for logistic regression
FOLDS = 5
SEED = 0


@dataclass(frozen=True)
class Calibrated:
    """The outcome of a calibration.

    Attributes:
        calibration: what the index gets.
        refused: why there are no probabilities for a kind of query, by kind.
        unreadable: why a query image could not be read, by its name.
    """

    calibration: Calibration
    refused: Mapping[QueryKind, str]
    unreadable: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """This outcome as plain JSON values."""
        return {
            "calibration": self.calibration.to_json(),
            "refused": dict(self.refused),
            "unreadable": dict(self.unreadable),
        }


def calibrate(bundle: IndexBundle, ground_truth: Path, engine: EngineChoice) -> Calibrated:
    """Fit the models of an index's verdicts.

    Verdicts judge single images. Where the ground truth names products, each of their images is a
    true match.

    Args:
        bundle: the index.
        ground_truth: file with the true matches of query photos, or its folder.
        engine: what computes the descriptors of the queries, by the models of the index.

    Raises:
        CalibrationError: if there are too few items, or no kind of query gets probabilities that
            are better than chance.
        RetrievalError: if the ground truth cannot be used, the models differ from the index's, or
            no query image can be read.
    """
    queries = read_ground_truth(ground_truth, IndexDatabase(bundle)).by_image()
    _check_items(items_of(queries))
    retriever, described = describe_images([query.image for query in queries], bundle, engine)
    both = list(zip(queries, described, strict=True))
    unreadable = {q.image.name: d.problem for q, d in both if isinstance(d, ImageError)}
    seen = [(q, d) for q, d in both if not isinstance(d, ImageError)]
    check_readable(seen, queries, ground_truth)
    items = items_of([query for query, _ in seen])
    _check_items(items)
    repository = ModelRepository(engine.repository)
    reads = can_read(bundle.profile, repository)
    images = [query.image for query, _ in seen]
    lines = read_queries(images, bundle.profile.name, engine) if reads else [()] * len(seen)
    answered = [
        AnsweredQuery(query, item, descriptors, read)
        for (query, descriptors), item, read in zip(seen, items, lines, strict=True)
    ]
    kinds, refused = _fitted_kinds(observe(retriever, answered))
    if not kinds:
        reasons = " ".join(f"A {kind}: {reason}" for kind, reason in refused.items())
        raise CalibrationError(
            f"{ground_truth} yields no probabilities better than chance, so the index stays as it "
            f"is. {reasons}"
        )
    calibration = Calibration(
        products=len(bundle),
        reader=reader_digest(repository) if reads else "",
        kinds=kinds,
    )
    return Calibrated(calibration, refused, unreadable)


def _fitted_kinds(
    observed: Mapping[QueryKind, Sequence[Observation]],
) -> tuple[dict[QueryKind, CalibratedKind], dict[QueryKind, str]]:
    """The models of each kind of query, and why some kinds have none."""
    kinds: dict[QueryKind, CalibratedKind] = {}
    refused: dict[QueryKind, str] = {}
    with progress("fits", len(observed)) as advance:
        for kind, observations in observed.items():
            try:
                kinds[kind] = calibrated_kind(observations)
            except CalibrationError as error:
                refused[kind] = str(error)
            advance(1)
    return kinds, refused


def calibrated_kind(observations: Sequence[Observation]) -> CalibratedKind:
    """Fit and cross-validate the models of one kind of query.

    Args:
        observations: the present and the absent case of each query, in turns.

    Raises:
        CalibrationError: if there are too few items, nothing right is found, or the probabilities
            are no better than chance.
    """
    items = [each.item for each in observations]
    _check_items(items[::2])
    folds = folds_of(items, FOLDS, SEED)
    is_present = np.array([each.is_present for each in observations])
    queries = Cases([each.inputs for each in observations], is_present, folds)
    in_catalogue = held_out(queries)
    clusters = 2 * np.array(items) + is_present
    quality = quality_of(in_catalogue, is_present, clusters.tolist())
    _check_quality(quality)
    owners = np.repeat(np.arange(len(observations)), [len(each.matches) for each in observations])
    results = Cases(
        [inputs for each in observations for inputs, _ in each.matches],
        np.array([is_right for each in observations for _, is_right in each.matches]),
        folds[owners],
    )
    if not results.is_true.any():
        raise CalibrationError("No query finds any of its true matches.")
    found = results.where(is_present[owners])
    confidences = in_catalogue[owners] * held_out(found, results)
    return CalibratedKind(
        queries=len(observations) // 2,
        items=len(set(items)),
        in_catalogue=fitted(queries),
        match=fitted(found),
        in_catalogue_quality=quality,
        match_quality=quality_of(confidences, results.is_true, clusters[owners].tolist()),
    )


def _check_items(items: Sequence[int]) -> None:
    """Refuse too few items; there is one for each query."""
    count = len(set(items))
    if count < MIN_ITEMS:
        raise CalibrationError(
            f"{len(items):,} queries show {count:,} items; at least {MIN_ITEMS} are "
            "needed. Add queries of other items to the ground truth."
        )


def _check_quality(quality: Quality) -> None:
    """Refuse probabilities that a coin, or the base rate alone, may equal."""
    low, high = quality.auroc_interval
    if low <= 0.5:
        raise CalibrationError(
            f"What the index has and what it lacks cannot be told apart: AUROC {quality.auroc:.3f} "
            f"({low:.3f}…{high:.3f}), and 0.5 is chance."
        )
    low, high = quality.brier_interval
    if high >= quality.base_brier:
        raise CalibrationError(
            f"AUROC {quality.auroc:.3f}, but probabilities no better than the base rate: Brier "
            f"score {quality.brier:.3f} ({low:.3f}…{high:.3f}), and {quality.base_brier:.3f} "
            "without any input."
        )
