"""The reader of JSON lines: one object for each product; its errors name the file and the line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from export.dataset.table import NeededColumns, Record, column_names, rename_advice, shown
from export.dataset.text_file import open_text
from retrieval_server.errors import CatalogueError


def jsonl_records(file: Path, needed: NeededColumns) -> Iterator[tuple[str, Record]]:
    """Read a file of JSON lines.

    Args:
        file: see ``open_text``. Blank lines are left out.
        needed: columns that each object must have.

    Yields:
        The location, such as ``line 7``, and the object. Numbers are exact integers or floats.

    Raises:
        CatalogueError: if the file cannot be read, or a line is no JSON object, lacks a column or
            has one twice.
    """
    with open_text(file) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.strip().lstrip("\ufeff")  # files with a mark that were joined
            if not text:
                continue
            place = f"{file}, line {number}"
            record = _object(place, text)
            names = column_names(tuple(record), needed)
            if missing := needed.missing(names):
                raise CatalogueError(
                    f"{place} has no {', '.join(map(repr, missing))}. "
                    f"{rename_advice(names, missing)}"
                )
            if len(set(names)) < len(names):
                repeated = next(name for name in names if names.count(name) > 1)
                raise CatalogueError(f"{place} has {repeated!r} more than once. Keep one of them.")
            yield f"line {number}", dict(zip(names, record.values(), strict=True))


def _object(place: str, text: str) -> dict[str, object]:
    """The object of a line."""
    try:
        value = json.loads(text, object_pairs_hook=_with_each_name_once, parse_float=_float)
    except _RepeatedNameError as error:
        raise CatalogueError(f"{place} has {error.args[0]!r} more than once. Keep one.") from error
    except RecursionError as error:
        raise CatalogueError(f"{place} is nested too deeply. Flatten or remove it.") from error
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            raise CatalogueError(
                f"{place} goes on at column {error.colno:,}, after its object. Write one object on "
                "each line, and nothing else."
            ) from error
        raise CatalogueError(f"{place} is no JSON: {_one_line(error)}.{_advice(text)}") from error
    if not isinstance(value, dict):
        raise CatalogueError(f"{place} is no JSON object.{_advice(text)}")
    return value


class _RepeatedNameError(ValueError):
    """An object has a name twice."""


def _with_each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedNameError(next(name for name in names if names.count(name) > 1))
    return record


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {shown(text)} is too large")
    return number


def _advice(text: str) -> str:
    if text.startswith("["):
        return " A JSON array becomes JSON lines with: jq -c '.[]'"
    if text.startswith("{"):
        return " Write each object on one line, for example with: jq -c ."
    return " Write one JSON object on each line; if the file is CSV, give it the suffix .csv."


def _one_line(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno:,}"
    return str(error).partition(";")[0]  # what follows is about Python's settings
