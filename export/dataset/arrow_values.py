"""The values of a column of Parquet, exact and the same on every machine.

They are Python's own, with three exceptions. A binary value and a text that is not UTF-8 are bytes.
A 16- or 32-bit float is numpy's, so that its text has no more digits than it holds. Moments and
spans of time are texts by ISO 8601, exact to the unit of the column.

Arrow's own ``to_pylist`` fails on texts that are not UTF-8, on moments that Python's types do not
reach, on time zones that the machine does not know, and, without pandas, on nanoseconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def arrow_values(array: Any) -> list[Any]:
    """The values of an Arrow array.

    Args:
        array: a ``pyarrow.Array`` of any type that Parquet has.

    Returns:
        As many values, None where there is none; of floats of 16 or 32 bits, NaN.

    Raises:
        pyarrow.ArrowException: if the array is damaged.
    """
    from pyarrow import compute, types

    kind = array.type
    if types.is_dictionary(kind):
        return arrow_values(array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return arrow_values(compute.run_end_decode(array))
    if types.is_temporal(kind):
        return _times(array)
    if types.is_nested(kind):
        return _objects(array) if types.is_struct(kind) else _lists(array)
    return _plain_values(array)


def _objects(array: Any) -> list[Any]:
    names = [field.name for field in array.type]
    fields = [arrow_values(field) for field in array.flatten()]
    return [
        {name: field[row] for name, field in zip(names, fields, strict=True)} if valid else None
        for row, valid in enumerate(array.is_valid().to_pylist())
    ]


def _lists(array: Any) -> list[Any]:
    """Lists of any kind; a map is a list of objects with a key and a value."""
    return [arrow_values(entry.values) if entry.is_valid else None for entry in array]


def _plain_values(array: Any) -> list[Any]:
    from pyarrow import types

    if types.is_float16(array.type) or types.is_float32(array.type):
        return list(array.to_numpy(zero_copy_only=False))
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:
        return list(array.cast(_binary(array.type)).to_pylist())


def _binary(kind: Any) -> Any:
    """The type of the bytes of a type of texts."""
    import pyarrow

    if pyarrow.types.is_string_view(kind):
        return pyarrow.binary_view()
    return pyarrow.large_binary() if pyarrow.types.is_large_string(kind) else pyarrow.binary()


def _times(array: Any) -> list[str | None]:
    numbers = array.cast(f"int{array.type.bit_width}").to_pylist()
    return [None if number is None else _time(number, array.type) for number in numbers]


def _time(number: int, kind: Any) -> str:
    """A date, a moment, a time of day or a duration by ISO 8601."""
    from pyarrow import types

    unit: Any = "D" if types.is_date32(kind) else getattr(kind, "unit", "ms")
    if types.is_duration(kind):
        return f"PT{_without_zeros(f'{Decimal(number) / _UNITS_PER_SECOND[unit]:f}')}S"
    date, _, time = str(np.datetime64(number, unit)).partition("T")
    if types.is_date(kind):
        return date
    if types.is_time(kind):
        return _without_zeros(time)
    zone = "+00:00" if kind.tz else ""  # Arrow stores moments of all zones in UTC
    return f"{date}T{_without_zeros(time)}{zone}"


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
