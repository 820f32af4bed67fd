"""Records as JSON: reads documents that may be damaged, and checks the types of their values.

A dataclass takes any value for any field. What was read from a file is checked against the
annotations, so that a wrong value is refused by its name and not found later by whoever uses it.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no JSON in UTF-8, or is nested too deeply.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document.

    Raises:
        ValueError: if it is no JSON in UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_types(record: Any) -> None:
    """Check the values of a dataclass, and of those in it, against their annotations.

    Args:
        record: of fields that are texts, finite numbers, truth values, members of an enumeration,
            tuples, mappings by texts, and records of these; arrays are not looked at.

    Raises:
        TypeError: naming the field and its value.
    """
    for name, annotation in _annotations(record.__class__).items():
        _check(name, getattr(record, name), annotation)


@cache
def _annotations(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _check(name: str, value: Any, annotation: Any) -> None:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or origin is np.ndarray:
        return
    if origin in (types.UnionType, typing.Union):
        if value is not None:  # the only unions are with None
            _check(name, value, next(each for each in arguments if each is not types.NoneType))
    elif origin is tuple:
        _check_tuple(name, value, arguments)
    elif origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, Mapping), name, value, "an object")
        for key, each in value.items():
            _check(f"{name}.{key}", each, arguments[1])
    elif is_dataclass(annotation):
        _expect(isinstance(value, typing.cast("type", annotation)), name, value, "an object")
        check_types(value)
    elif issubclass(annotation, Enum):
        _expect(isinstance(value, annotation), name, value, "one of its names")
    else:
        _expect(_is_scalar(value, annotation), name, value, _WORDS[annotation])


def _check_tuple(name: str, value: Any, arguments: tuple[Any, ...]) -> None:
    _expect(isinstance(value, tuple), name, value, "a list")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    _expect(len(value) == len(arguments), name, value, f"a list of {len(arguments)} values")
    for number, (each, annotation) in enumerate(zip(value, arguments, strict=True)):
        _check(f"{name}[{number}]", each, annotation)


def _is_scalar(value: Any, annotation: type) -> bool:
    if annotation is float:
        return (type(value) is float and math.isfinite(value)) or type(value) is int
    return type(value) is annotation


def _expect(is_met: bool, name: str, value: Any, words: str) -> None:
    if not is_met:
        shown = repr(value)
        raise TypeError(
            f"{name} must be {words}, not {shown[:40] + '…' if len(shown) > 41 else shown}"
        )
