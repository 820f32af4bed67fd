"""A calibration in words and tables, for every form of output."""

from __future__ import annotations

from export.calibration.calibrate import FOLDS, Calibrated
from export.calibration.quality import RESAMPLES
from export.evaluation.sections import Cell, Section
from retrieval_server.index.calibration import CalibratedKind, LogisticModel, Quality

IN_CATALOGUE, CONFIDENCE = "in the catalogue", "confidence of a match"


def calibration_sections(calibrated: Calibrated) -> list[Section]:
    """Quality of all kinds, then reliability and weights of each."""
    kinds = calibrated.calibration.kinds
    found = [_qualities(calibrated)]
    for kind, models in kinds.items():
        found += [_reliability(kind, models), _weights(kind, models)]
    return found


def named_qualities(models: CalibratedKind) -> list[tuple[str, Quality]]:
    """The two probabilities of a kind by name, with their quality."""
    return [
        (IN_CATALOGUE, models.in_catalogue_quality),
        (CONFIDENCE, models.match_quality),
    ]


def _qualities(calibrated: Calibrated) -> Section:
    calibration = calibrated.calibration
    rows = [
        (
            Cell(kind, f"{models.queries:,} photos, {models.items:,} items"),
            Cell(name),
            Cell(f"{quality.auroc:.3f}", _span(quality.auroc_interval)),
            Cell(f"{quality.brier:.3f}", _span(quality.brier_interval)),
            Cell(f"{quality.base_brier:.3f}"),
            Cell(f"{quality.calibration_error:.3f}"),
        )
        for kind, models in calibration.kinds.items()
        for name, quality in named_qualities(models)
    ]
    return Section(
        f"Probabilities on {calibration.products:,} products, cross-validated",
        ("Query", "Probability", "AUROC", "Brier", "of base rate", "Error"),
        tuple(rows),
        (
            "Each query is searched once as it is and once with its true matches left out. "
            f"{FOLDS} folds, all cases of an item in one.",
            f"Below each figure its 95 % interval: percentile bootstrap, {RESAMPLES:,} samples of "
            "the items, present and absent ones apart. Error: mean distance of predicted "
            "probability and observed share.",
        ),
        texts=(0, 1),
    )


def _span(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:.3f}…{high:.3f}"


def _reliability(kind: str, models: CalibratedKind) -> Section:
    rows = [
        (
            Cell(name),
            Cell(f"{each.predicted:.3f}"),
            Cell(f"{each.observed:.3f}"),
            Cell(f"{each.count:,}"),
        )
        for name, quality in named_qualities(models)
        for each in quality.curve
    ]
    return Section(
        f"Reliability, {kind}",
        ("Probability", "Predicted", "Observed", "Cases"),
        tuple(rows),
        (),
    )


def _weights(kind: str, models: CalibratedKind) -> Section:
    rows = [
        row
        for name, model in ((IN_CATALOGUE, models.in_catalogue), (CONFIDENCE, models.match))
        for row in _weight_rows(name, model)
    ]
    return Section(
        f"Weights, {kind}",
        ("Probability", "Input", "Weight", "Range"),
        tuple(rows),
        ("The range is that of the inputs of the fit; values beyond it count as its ends.",),
        texts=(0, 1),
    )


def _weight_rows(name: str, model: LogisticModel) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [
        (Cell(name), Cell("intercept"), Cell(f"{model.intercept:+.4g}"), Cell("-"))
    ]
    for input_name, each in model.inputs.items():
        span = Cell(_span((each.low, each.high)))
        rows.append((Cell(name), Cell(input_name), Cell(f"{each.weight:+.4g}"), span))
    return rows
