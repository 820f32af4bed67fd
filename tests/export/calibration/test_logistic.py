"""The fit: scikit-learn's on standardised inputs, and never on the fold that it is rated on."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from export.calibration.logistic import Cases, fitted, held_out


def cases(count=200, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 2)) * [3.0, 0.01] + [5.0, 0.2]
    is_true = rng.random(count) < 1 / (1 + np.exp(-(values[:, 0] - 5)))
    inputs = [{"similarity": a, "margin": b} for a, b in values.tolist()]
    return Cases(inputs, is_true, np.arange(count) // 2 % 5)


def test_the_model_is_that_of_scikit_learn_without_its_standardisation():
    made = cases()
    values = [list(each.values()) for each in made.inputs]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=10_000))
    expected = pipeline.fit(values, made.is_true).predict_proba(values)[:, 1]

    model = fitted(made)

    assert [model.probability(each) for each in made.inputs] == pytest.approx(expected, abs=1e-4)
    assert model.inputs["similarity"].low == pytest.approx(min(v[0] for v in values), rel=1e-5)


def test_equal_cases_give_equal_models():
    assert fitted(cases()) == fitted(cases())


def test_an_input_that_never_varies_has_no_weight():
    made = cases()
    constant = [{**each, "text": 0.0} for each in made.inputs]
    model = fitted(Cases(constant, made.is_true, made.folds))
    assert model.inputs["text"].weight == 0
    assert model.inputs["similarity"] == fitted(made).inputs["similarity"]


@pytest.mark.parametrize(
    ("answers", "expected"), [([True] * 8, 0.9), ([False] * 8, 0.1), ([], 0.5)]
)
def test_cases_that_all_end_alike_give_a_rate_that_is_not_certain(answers, expected):
    inputs = [{"similarity": float(n)} for n in range(len(answers))]
    model = fitted(Cases(inputs, np.array(answers, bool), np.zeros(len(answers), int)))
    assert model.probability({"similarity": 3.0}) == pytest.approx(expected, abs=1e-5)


def test_a_held_out_probability_does_not_depend_on_the_answers_of_its_fold():
    made = cases()
    before = held_out(made)
    answers = made.is_true.copy()
    answers[made.folds == 2] ^= True

    after = held_out(Cases(made.inputs, answers, made.folds))

    assert after[made.folds == 2].tolist() == before[made.folds == 2].tolist()
    assert (after[made.folds != 2] != before[made.folds != 2]).any()


def test_others_are_rated_by_the_models_without_their_fold():
    made = cases()
    some = made.where(made.folds < 3)
    assert held_out(made, some).tolist() == held_out(made)[made.folds < 3].tolist()
