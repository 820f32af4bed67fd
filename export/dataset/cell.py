"""The text of a cell: what JSON and Parquet hold as numbers, bytes or lists becomes exact text."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal

import numpy as np

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class CellError(ValueError):
    """A value has no exact text; the message continues "the image ..." and says what to do."""


def attribute_text(value: object) -> str:
    """The text of a further column: numbers as JSON writes them, lists and objects as JSON.

    Args:
        value: of JSON, or of Parquet as ``parquet_file`` gives it.

    Returns:
        The text; empty for null and for NaN, which data frames write for a missing value.

    Raises:
        CellError: if there is no such text.
    """
    if isinstance(value, str):
        text = value
    elif value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        text = ""
    elif isinstance(value, bytes):
        text = _decoded(value)
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, bool | list | dict):
        text = _json(value)
    elif isinstance(value, float | np.floating) and math.isinf(value):
        text = "Infinity" if value > 0 else "-Infinity"
    else:  # a number; or a UUID, which Parquet has
        text = str(value)
    return storable(text)


def description_text(value: object) -> str:
    """The text of a description: as that of an attribute, but of a text or a number only.

    Raises:
        CellError: if there is none.
    """
    if isinstance(value, str):
        return storable(value)
    _refuse_other_types(value)
    if isinstance(value, float | np.floating) and math.isinf(value):
        raise CellError(f"is the number {value}. Give a text")
    return attribute_text(value)


def name_text(value: object) -> str:
    """The text of an id or a path: a text, or a whole number, which data frames store as a float.

    Raises:
        CellError: if there is none that is exact.
    """
    if isinstance(value, str):
        return storable(value)
    _refuse_other_types(value)
    text = attribute_text(value)
    if isinstance(value, float | np.floating) and text:
        if not math.isfinite(value) or not float(value).is_integer():
            raise CellError(f"is the number {text}, which is not whole. Write it as a text")
        if abs(value) >= 2 ** (np.finfo(type(value)).nmant + 1):
            raise CellError(
                f"is the number {text}, a float too large to be exact. Write it as a text"
            )
        return str(int(value))
    if isinstance(value, Decimal):
        whole, _, fraction = text.partition(".")
        if fraction.strip("0"):
            raise CellError(f"is the number {text}, which is not whole. Write it as a text")
        return whole
    return text


def storable(text: str) -> str:
    """Return a text that can be written as UTF-8 and, as a path, be opened.

    Raises:
        CellError: if it cannot.
    """
    if not text.isprintable() and _UNSTORABLE.search(text):  # neither of the two prints
        raise CellError("holds a NUL character or half a surrogate pair. Remove it")
    return text


def _refuse_other_types(value: object) -> None:
    if isinstance(value, bool):
        raise CellError(f"is the truth value {str(value).lower()}. Give a text")
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        raise CellError(f"is {kind} of values. Give one text")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CellError(
            f"is not UTF-8: {value[:20]!r}{'…' if len(value) > 20 else ''}. Write it as UTF-8, or "
            "leave the column out"
        ) from error


def _json(value: object) -> str:
    try:
        return json.dumps(_without_nan(value), ensure_ascii=False)
    except RecursionError as error:
        raise CellError("is nested too deeply. Flatten or remove it") from error


def _without_nan(value: object) -> object:
    """A value as JSON has it: NaN is null, and what JSON lacks is a text."""
    if isinstance(value, dict):
        return {str(key): _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, np.floating):
        return _without_nan(float(str(value)))  # no more digits than it holds
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return attribute_text(value)
