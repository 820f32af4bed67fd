"""Calibrations with weights that nobody has fitted, for indexes that tests serve."""

from collections.abc import Iterable

from retrieval_server.index.calibration import (
    CalibratedKind,
    Calibration,
    LogisticModel,
    Quality,
    QueryKind,
    ReliabilityBin,
    WeighedInput,
)

QUALITY = Quality(
    auroc=0.9,
    auroc_interval=(0.8, 0.95),
    brier=0.1,
    brier_interval=(0.05, 0.15),
    base_brier=0.25,
    calibration_error=0.05,
    curve=(ReliabilityBin(0.125, 0.25, 4), ReliabilityBin(0.875, 0.75, 8)),
)


def logistic(intercept: float, **weights: float) -> LogisticModel:
    return LogisticModel(
        intercept, {name: WeighedInput(weight, -9.0, 9.0) for name, weight in weights.items()}
    )


def made_up_calibration(
    kinds: Iterable[QueryKind] = QueryKind, reader: str = "", products: int = 40
) -> Calibration:
    """A calibration in which every kind has its own intercept, so that they can be told apart."""
    return Calibration(
        products=products,
        reader=reader,
        kinds={
            kind: CalibratedKind(
                queries=50,
                items=40,
                in_catalogue=logistic(list(QueryKind).index(kind) - 2.0, visual=2.0, text=1.0),
                match=logistic(0.5, visual=1.0, distance=-4.0, alike=0.5),
                in_catalogue_quality=QUALITY,
                match_quality=QUALITY,
            )
            for kind in kinds
        },
    )
