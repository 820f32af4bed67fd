"""The calibration of an index: how the inputs of a verdict become probabilities.

``calibration.json`` of a version has the fields of ``Calibration``: for each kind of query two
logistic models, and how well they did on queries that they were not fitted on. The room
``export.calibration`` fits them; ``retrieval.verdict`` says what the inputs are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from retrieval_server.errors import IndexBundleError
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.storage.json_record import check_types, read_json

CALIBRATION_FILE = "calibration.json"
INPUTS = "verdict-1"  # name of the rules that make the inputs; changed rules get a new one
QUERY_INPUTS = ("visual", "text")  # of the model that judges a query
MATCH_INPUTS = ("visual", "text", "distance", "alike")  # of the model that judges a match


class QueryKind(StrEnum):
    """What a query consists of; each kind has models of its own."""

    PHOTO = "photo"
    READ = "photo with read words"
    TYPED = "photo with typed words"
    BOTH = "photo with typed and read words"

    @classmethod
    def of(cls, *, typed: bool, read: bool) -> QueryKind:
        """The kind of a query of one photo.

        Args:
            typed: whether words were typed.
            read: whether words were read on the photo.
        """
        if typed:
            return cls.BOTH if read else cls.TYPED
        return cls.READ if read else cls.PHOTO

    @property
    def is_read(self) -> bool:
        """Whether words were read on the photo."""
        return self in {QueryKind.READ, QueryKind.BOTH}

    @property
    def has_words(self) -> bool:
        """Whether words count in the similarity."""
        return self is not QueryKind.PHOTO


@dataclass(frozen=True)
class WeighedInput:
    """An input of a model.

    Attributes:
        weight: what it is multiplied by.
        low: the smallest value that the model was fitted on; a smaller one counts as this.
        high: the largest one, likewise.
    """

    weight: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.weight, self.low, self.high))) or self.low > self.high:
            raise ValueError(f"{self} is no input of a model")


@dataclass(frozen=True)
class LogisticModel:
    """A logistic regression.

    Attributes:
        intercept: its constant.
        inputs: what it weighs, by name.
    """

    intercept: float
    inputs: Mapping[str, WeighedInput]

    def probability(self, values: Mapping[str, float]) -> float:
        """The probability that the inputs speak for, from 0 to 1.

        Args:
            values: a value for each input; others are ignored.
        """
        score = self.intercept + math.fsum(
            each.weight * min(max(values[name], each.low), each.high)
            for name, each in self.inputs.items()
        )
        return 0.5 * (1 + math.tanh(score / 2))

    @classmethod
    def from_json(cls, data: Mapping[str, Any], names: Collection[str]) -> LogisticModel:
        """Read what ``asdict`` made; an input that is not among the names is a ``ValueError``."""
        inputs = {name: WeighedInput(**each) for name, each in data["inputs"].items()}
        intercept = float(data["intercept"])
        if unknown := set(inputs) - set(names):
            raise ValueError(f"there is no input {min(unknown)!r}")
        if not math.isfinite(intercept):
            raise ValueError(f"the intercept is {intercept}")
        return cls(intercept, inputs)


@dataclass(frozen=True)
class ReliabilityBin:
    """Some predictions of similar size, and what came true of them.

    Attributes:
        predicted: mean probability.
        observed: share that came true.
        count: number of predictions.
    """

    predicted: float
    observed: float
    count: int


@dataclass(frozen=True)
class Quality:
    """How good probabilities are, on queries that they were not fitted on.

    Attributes:
        auroc: probability that a true case gets a higher probability than a false one.
        auroc_interval: its 95 % interval.
        brier: mean squared error.
        brier_interval: its 95 % interval.
        base_brier: that of the base rate, which a useless model has.
        calibration_error: mean distance of predicted and observed shares, weighted by count.
        curve: the reliability curve, from low to high probabilities.
    """

    auroc: float
    auroc_interval: tuple[float, float]
    brier: float
    brier_interval: tuple[float, float]
    base_brier: float
    calibration_error: float
    curve: tuple[ReliabilityBin, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quality:
        """Read what ``asdict`` made."""
        auroc_low, auroc_high = data["auroc_interval"]
        brier_low, brier_high = data["brier_interval"]
        changed = {
            "auroc_interval": (auroc_low, auroc_high),
            "brier_interval": (brier_low, brier_high),
            "curve": tuple(ReliabilityBin(**each) for each in data["curve"]),
        }
        return cls(**{**data, **changed})


@dataclass(frozen=True)
class CalibratedKind:
    """The models for one kind of query.

    Attributes:
        queries: number of queries that they were fitted on.
        items: number of items that these show.
        in_catalogue: gives the probability that the catalogue has what the photo shows.
        match: gives the probability that a match is right, if the catalogue has it.
        in_catalogue_quality: of the probabilities of ``in_catalogue``.
        match_quality: of the products of both probabilities.
    """

    queries: int
    items: int
    in_catalogue: LogisticModel
    match: LogisticModel
    in_catalogue_quality: Quality
    match_quality: Quality

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CalibratedKind:
        """Read what ``asdict`` made."""
        return cls(
            queries=data["queries"],
            items=data["items"],
            in_catalogue=LogisticModel.from_json(data["in_catalogue"], QUERY_INPUTS),
            match=LogisticModel.from_json(data["match"], MATCH_INPUTS),
            in_catalogue_quality=Quality.from_json(data["in_catalogue_quality"]),
            match_quality=Quality.from_json(data["match_quality"]),
        )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What turns the inputs of a verdict into probabilities.

    Attributes:
        products: number of products of the index that it was measured on.
        reader: digest of the models and rules that read the photos; empty if none were read.
        kinds: the models by kind of query; at least one.
    """

    products: int
    reader: str
    kinds: Mapping[QueryKind, CalibratedKind]

    def to_json(self) -> dict[str, Any]:
        """This calibration as plain JSON values."""
        return {"inputs": INPUTS, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what ``to_json`` wrote."""
        if not data["kinds"]:
            raise ValueError("it has no kind of query")
        return cls(
            products=data["products"],
            reader=data["reader"],
            kinds={
                QueryKind(kind): CalibratedKind.from_json(models)
                for kind, models in data["kinds"].items()
            },
        )


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the calibration of a version that is not sealed yet; overwrites."""
    text = json.dumps(calibration.to_json(), indent=2, sort_keys=True) + "\n"
    (folder / CALIBRATION_FILE).write_text(text, encoding="utf-8")


def read_calibration(folder: Path) -> Calibration | None:
    """Read the calibration of a version.

    Args:
        folder: the version's folder, which has the file.

    Returns:
        The calibration; None if the inputs of its models are not those of this program.

    Raises:
        IndexBundleError: if the file cannot be read or is damaged.
    """
    path = folder / CALIBRATION_FILE
    try:
        data = read_json(path)
        if data["inputs"] != INPUTS:
            return None
        calibration = Calibration.from_json(data)
        check_types(calibration)
        return calibration
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise IndexBundleError(f"Cannot read {path}: {error!r}. {REBUILD}") from error
