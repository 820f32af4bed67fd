"""Calibrations: a file that comes back as it was, and models that give probabilities."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.calibration import (
    CALIBRATION_FILE,
    LogisticModel,
    QueryKind,
    WeighedInput,
    read_calibration,
    write_calibration,
)
from tests.support.made_up_calibration import logistic, made_up_calibration

NUMBERS = st.floats(-1e300, 1e300)


def test_a_calibration_is_read_as_it_was_written_and_its_file_has_one_form(tmp_path: Path) -> None:
    calibration = made_up_calibration([QueryKind.READ, QueryKind.PHOTO], reader="ab" * 32)
    write_calibration(tmp_path, calibration)
    before = (tmp_path / CALIBRATION_FILE).read_bytes()

    again = read_calibration(tmp_path)
    assert again == calibration
    write_calibration(tmp_path, again)
    assert (tmp_path / CALIBRATION_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["kinds"].update({"smell": data["kinds"]["photo"]}),
        lambda data: data["kinds"].clear(),
        lambda data: data.pop("reader"),
        lambda data: data["kinds"]["photo"].pop("match"),
        lambda data: data["kinds"]["photo"]["match"].update(intercept=math.nan),
        lambda data: data["kinds"]["photo"]["match"].update(intercept="much"),
        lambda data: data["kinds"]["photo"]["match"]["inputs"].update(colour={"weight": 1}),
        lambda data: data["kinds"]["photo"]["match"]["inputs"]["visual"].update(weight=math.inf),
        lambda data: data["kinds"]["photo"]["match"]["inputs"]["visual"].update(low=10.0),
        lambda data: data.pop("inputs"),
    ],
)
def test_a_damaged_calibration_is_refused_in_one_line(tmp_path: Path, damage: object) -> None:
    write_calibration(tmp_path, made_up_calibration())
    path = tmp_path / CALIBRATION_FILE
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))

    with pytest.raises(IndexBundleError) as caught:
        read_calibration(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CALIBRATION_FILE).write_bytes(content)
    with pytest.raises(IndexBundleError, match=CALIBRATION_FILE):
        read_calibration(tmp_path)


def test_a_calibration_with_inputs_of_another_program_is_not_used(tmp_path: Path) -> None:
    write_calibration(tmp_path, made_up_calibration())
    path = tmp_path / CALIBRATION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": "verdict-99"}))
    assert read_calibration(tmp_path) is None


@given(intercept=NUMBERS, weight=NUMBERS, value=NUMBERS)
def test_a_probability_is_from_0_to_1_whatever_the_inputs(
    intercept: float, weight: float, value: float
) -> None:
    assert 0 <= logistic(intercept, similarity=weight).probability({"similarity": value}) <= 1


@given(
    intercept=st.floats(-5, 5),
    weight=st.floats(-5, 5),
    values=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_a_probability_rises_with_an_input_of_positive_weight_and_falls_with_one_of_negative(
    intercept: float, weight: float, values: tuple[float, float]
) -> None:
    model = logistic(intercept, similarity=weight)
    low, high = (model.probability({"similarity": value}) for value in sorted(values))
    assert (high - low) * weight >= 0


def test_a_probability_is_the_logistic_function_of_the_weighed_inputs() -> None:
    model = LogisticModel(
        0.5, {"a": WeighedInput(2.0, 0.0, 1.0), "b": WeighedInput(-1.0, 0.0, 3.0)}
    )
    expected = 1 / (1 + math.exp(-(0.5 + 2.0 * 0.25 - 1.0 * 2.0)))
    assert model.probability({"a": 0.25, "b": 2.0, "c": 7.0}) == pytest.approx(expected)


def test_inputs_beyond_those_of_the_fit_count_as_its_ends() -> None:
    model = LogisticModel(0.0, {"a": WeighedInput(2.0, 0.0, 1.0)})
    assert model.probability({"a": 50.0}) == model.probability({"a": 1.0})
    assert model.probability({"a": -50.0}) == model.probability({"a": 0.0})


@pytest.mark.parametrize(
    ("typed", "read", "kind"),
    [
        (False, False, QueryKind.PHOTO),
        (False, True, QueryKind.READ),
        (True, False, QueryKind.TYPED),
        (True, True, QueryKind.BOTH),
    ],
)
def test_a_query_has_the_kind_of_its_words(typed: bool, read: bool, kind: QueryKind) -> None:
    assert QueryKind.of(typed=typed, read=read) is kind
    assert kind.is_read is read
    assert kind.has_words is (typed or read)
