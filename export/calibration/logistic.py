"""Logistic regression on standardised inputs, fitted on all cases and without each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.index.calibration import LogisticModel, WeighedInput

PENALTY = 1.0  # scikit-learn's C: the inverse strength of L2 on standardised inputs
DIGITS = 6  # significant ones of a stored number; the rest depends on the machine's rounding
Inputs = Mapping[str, float]


@dataclass(frozen=True)
class Cases:
    """What a model is fitted on.

    Attributes:
        inputs: of each case, all with the same names.
        is_true: (C,) bool, the answer of each case.
        folds: (C,) int, the fold of each case.
    """

    inputs: Sequence[Inputs]
    is_true: NDArray[np.bool_]
    folds: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Cases:
        """Some of the cases."""
        inputs = [each for each, is_chosen in zip(self.inputs, chosen, strict=True) if is_chosen]
        return Cases(inputs, self.is_true[chosen], self.folds[chosen])


def fitted(cases: Cases) -> LogisticModel:
    """Fit a model; one that has only true or only false cases, or none, ignores the inputs.

    The standardisation is part of the returned weights, and the range of each input is kept.
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(cases.is_true.tolist())) < 2:
        return LogisticModel(_constant(cases.is_true), {})
    names = list(cases.inputs[0])
    values = np.array([[each[name] for name in names] for each in cases.inputs])
    means, scales = values.mean(axis=0), values.std(axis=0)
    varies = scales > 0
    scales = np.where(varies, scales, 1.0)
    regression = LogisticRegression(C=PENALTY, tol=1e-10, max_iter=10_000)
    regression.fit((values - means) / scales, cases.is_true)
    weights = np.where(varies, regression.coef_[0] / scales, 0.0)
    intercept = float(regression.intercept_[0] - (weights * means).sum())
    return LogisticModel(
        _rounded(intercept),
        {
            name: WeighedInput(_rounded(weight), _rounded(low), _rounded(high))
            for name, weight, low, high in zip(
                names, weights, values.min(axis=0), values.max(axis=0), strict=True
            )
        },
    )


def held_out(cases: Cases, others: Cases | None = None) -> NDArray[np.float64]:
    """The probability of each case by a model that was fitted without its fold.

    Args:
        cases: what the models are fitted on.
        others: what gets probabilities, by the same folds; None for the cases themselves.

    Returns:
        (C,) probabilities, in the order of ``others``.
    """
    tested = cases if others is None else others
    found = np.empty(len(tested.inputs))
    for fold in sorted(set(tested.folds.tolist())):
        model = fitted(cases.where(cases.folds != fold))
        for position in np.flatnonzero(tested.folds == fold).tolist():
            found[position] = model.probability(tested.inputs[position])
    return found


def _constant(is_true: NDArray[np.bool_]) -> float:
    """The intercept of the base rate, with one true and one false case more."""
    true, false = int(is_true.sum()) + 1, int((~is_true).sum()) + 1
    return _rounded(float(np.log(true / false)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
