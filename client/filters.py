"""Filters: which products of the catalogue a search may find.

::

    (Column("price") < 30) & Column("brand").one_of("Nuxe", "Caudalie")
    Column("in_stock") == True
    ~Column("country").is_missing() | (Column("size") >= 50)

``&``, ``|`` and ``~`` are *and*, *or* and *not*. Python binds them more tightly than comparisons,
which therefore need parentheses. A product without a value in a column meets no condition on it but
``is_missing``, and so it meets ``~(Column("price") < 30)`` and ``Column("price") != 30``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import reduce
from numbers import Real
from operator import and_
from typing import Literal, NoReturn

from client.errors import InvalidQueryError
from client.sendable import sendable_text
from retrieval_server.command_line.where import Comparison, parse_where
from retrieval_server.v1 import retrieval_pb2 as pb

Value = str | float | bool | Decimal

_PARENTHESES = (
    "Put each comparison in parentheses: (Column('price') < 30) & ~(Column('brand') == 'Nuxe')."
)
_DEEPEST = 40  # filters in one another; the protocol's encoding ends at 100 messages


class Filter:
    """Conditions on the columns of the catalogue; made by ``Column``.

    Attributes:
        message: the filter as the protocol has it.
        depth: how many filters are in one another.
    """

    def __init__(self, message: pb.Filter, depth: int = 1) -> None:
        if depth > _DEEPEST:
            raise InvalidQueryError(
                f"The filter has more than {_DEEPEST} filters in one another, more than any server "
                "takes. Its limit: beauty-search status"
            )
        self.message, self.depth = message, depth

    def __and__(self, other: "Filter") -> "Filter":
        """Return what both let pass."""
        if not isinstance(other, Filter):
            return NotImplemented
        return _joined("all_of", self, other)

    def __or__(self, other: "Filter") -> "Filter":
        """Return what at least one lets pass."""
        if not isinstance(other, Filter):
            return NotImplemented
        return _joined("any_of", self, other)

    def __invert__(self) -> "Filter":
        """Return what this filter does not let pass."""
        return Filter(pb.Filter(none_of=pb.Filters(filters=[self.message])), self.depth + 1)

    def __bool__(self) -> bool:
        """Refuse ``and``, ``or``, ``not`` and ``10 < column < 20``, which ask for it."""
        raise TypeError(
            "A filter is neither true nor false. Write & for and, | for or, ~ for not, and "
            "(10 < column) & (column < 20) for a range."
        )

    def __repr__(self) -> str:
        """Return the message on one line."""
        return f"Filter({' '.join(str(self.message).split())})"


def _joined(kind: Literal["all_of", "any_of"], *filters: Filter) -> Filter:
    """Combine filters. One of the same kind, as a & b in a & b & c, is taken apart."""
    message, depth = pb.Filter(), 1
    joined = getattr(message, kind).filters
    for each in filters:
        is_same = each.message.WhichOneof("kind") == kind
        joined.extend(getattr(each.message, kind).filters if is_same else [each.message])
        depth = max(depth, each.depth - is_same)
    return Filter(message, depth + 1)


class Column:
    """A column of the catalogue, to be compared with values.

    Texts are compared with the catalogue's own, upper and lower case included.
    ``ServerStatus.columns`` has the names, and what each column holds.

    Args:
        name: the catalogue's name of the column.
    """

    __hash__ = None  # type: ignore[assignment] # == makes a filter

    def __init__(self, name: str) -> None:
        self._name = sendable_text("filter", name)

    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]
        """Return the filter for products with this value."""
        return Filter(pb.Filter(equals=pb.Equals(column=self._name, value=_value(value))))

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]
        """Return the filter for all other products, those without a value included."""
        return ~(self == value)

    def __lt__(self, number: float | Decimal) -> Filter:
        """Return the filter for products with a number below this one."""
        return self._range("below", number)

    def __le__(self, number: float | Decimal) -> Filter:
        """Return the filter for products with at most this number."""
        return self._range("at_most", number)

    def __gt__(self, number: float | Decimal) -> Filter:
        """Return the filter for products with a number above this one."""
        return self._range("above", number)

    def __ge__(self, number: float | Decimal) -> Filter:
        """Return the filter for products with at least this number."""
        return self._range("at_least", number)

    def __and__(self, other: object) -> NoReturn:
        """Refuse ``Column("price") < 30 & Column(...)``, which Python reads as 30 & Column(...)."""
        raise TypeError(_PARENTHESES)

    __rand__ = __or__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        """Refuse ``~Column("price") < 30``, which Python reads as (~Column("price")) < 30."""
        raise TypeError(_PARENTHESES)

    def one_of(self, *values: Value) -> Filter:
        """Return the filter for products with one of these values; at least one is needed."""
        message = pb.OneOf(column=self._name, values=map(_value, values))
        return Filter(pb.Filter(one_of=message))

    def is_missing(self) -> Filter:
        """Return the filter for products without a value."""
        return Filter(pb.Filter(is_missing=pb.IsMissing(column=self._name)))

    def _range(self, end: str, number: float | Decimal) -> Filter:
        message = pb.Range(column=self._name, **{end: _number(number)})
        return Filter(pb.Filter(range=message))


def filter_of_texts(texts: Iterable[str]) -> Filter | None:
    """Read conditions as they are typed, joined by *and*; None for none.

    Args:
        texts: such as ``brand = Nuxe``, see ``command_line.where``.

    Raises:
        ValueError: naming the condition that cannot be read, and the place in it.
    """
    filters = [_typed(text) for text in texts]
    return reduce(and_, filters) if filters else None


_METHODS: Mapping[Comparison, Callable[..., Filter]] = {
    Comparison.EQUALS: Column.__eq__,
    Comparison.BELOW: Column.__lt__,
    Comparison.AT_MOST: Column.__le__,
    Comparison.ABOVE: Column.__gt__,
    Comparison.AT_LEAST: Column.__ge__,
    Comparison.ONE_OF: Column.one_of,
    Comparison.IS_MISSING: Column.is_missing,
}


def _typed(text: str) -> Filter:
    where = parse_where(text)
    condition = _METHODS[where.comparison](Column(where.column), *where.values)
    return ~condition if where.is_negated else condition


def _value(value: Value) -> pb.Value:
    if isinstance(value, str):
        return pb.Value(text=sendable_text("filter", value))
    if isinstance(value, bool):
        return pb.Value(truth=value)
    return pb.Value(number=_number(value))


def _number(number: float | Decimal) -> float:
    if isinstance(number, bool) or not isinstance(number, Real | Decimal):
        raise TypeError(
            f"{number!r} is no value of a filter: take a text, a number or a truth value, one_of() "
            "for several and is_missing() for none; ranges take numbers."
        )
    try:
        value = float(number)
    except OverflowError as error:
        raise ValueError(f"{number!r:.40} is too large for a number of a column.") from error
    if math.isnan(value):
        raise ValueError("NaN is no value of a filter; is_missing() finds products without one.")
    return value
