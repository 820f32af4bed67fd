"""Single values: which of them a word of a schema allows."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from functools import cache
from typing import Any

import yaml

from deploy.policies.rendering.quantities import quantity

TYPE = re.compile(r"<([\w-]+)>")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
HOST = re.compile(r"([a-z0-9-]+\.)*[a-z0-9-]+")
ADDRESS = re.compile(r"[a-z0-9.-]+:\d+")
LABEL = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?")
DIGEST = re.compile(r"[\w./:-]+@sha256:[0-9a-f]{64}")
HTTPS = re.compile(r"https://[a-z0-9.-]+(:\d+)?(/[\w./-]*)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
PATH = re.compile(r"(/[\w.-]+)+")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
DURATION = re.compile(r"(\d+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


@cache
def _time_zones() -> frozenset[str]:
    return frozenset({"Etc/UTC", *zoneinfo.available_timezones()})


TYPES: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str) and bool(value.strip()),
    "name": _matches(NAME),
    "host": _matches(HOST),
    "label": _matches(LABEL),
    "address": _matches(ADDRESS),
    "https-address": _matches(HTTPS),
    "image-by-digest": _matches(DIGEST),
    "variable": _matches(VARIABLE),
    "path": _matches(PATH),
    "port": lambda value: type(value) is int and 0 < value < 65536,
    "time-zone": lambda value: isinstance(value, str) and value in _time_zones(),
}


def allows(word: Any, value: Any) -> bool:
    """Whether a word of a schema that is not ``<name>`` of a file allows a value.

    Args:
        word: a value of YAML, a range such as ``5..60``, or a type such as ``<port>``.
        value: of the object.
    """
    if not isinstance(word, str):
        return type(value) is type(word) and bool(value == word)
    if value == word:
        return True
    if type_of(word) in TYPES:
        return TYPES[type_of(word)](value)
    low, dots, high = word.partition("..")
    if dots:
        return _is_within(low, high, value)
    literal = yaml.safe_load(word)
    return type(value) is type(literal) and bool(value == literal)


def type_of(word: str) -> str:
    """The name in ``<name>``; empty if the word is something else."""
    found = TYPE.fullmatch(word)
    return found[1] if found else ""


def seconds(text: Any) -> float | None:
    """A duration such as ``5m`` in seconds; None if it is none."""
    found = DURATION.fullmatch(str(text))
    return float(found[1]) * SECONDS[found[2]] if found else None


def amount(text: Any) -> float | None:
    """A number or a quantity such as ``16Mi``; None if it is none of them."""
    is_one = not isinstance(text, bool) and QUANTITY.fullmatch(str(text))
    return quantity(text) if is_one else None


def _is_within(low: str, high: str, value: Any) -> bool:
    """Whether a value is in a range; ``5m`` are minutes if an end is in seconds, hours or days."""
    is_duration = {low[-1:], high[-1:]} & {"s", "h", "d"}
    first, last, given = map(seconds if is_duration else amount, (low, high, value))
    assert first is not None
    assert last is not None
    return given is not None and first <= given <= last
