"""Reads a condition on a column as it is typed: ``brand = Nuxe``, ``price < 30``.

==========================================  =======================================================
written                                     met by
==========================================  =======================================================
``brand = Nuxe``                            rows with this value
``brand != Nuxe``                           all other rows, those without a value included
``price < 30``; also ``<=``, ``>``, ``>=``  rows with a number in this range
``shade in (Ruby, Amber)``                  rows with one of these values
``shade not in (Ruby, Amber)``              all other rows, those without a value included
``shade is missing``                        rows without a value
``shade is not missing``                    rows with a value
==========================================  =======================================================

A bare value is a number if it is written as one (``30``, ``12.50``, ``1e3``), a truth value
if it is ``true`` or ``false`` in any case, and a text otherwise. In single or double quotes it is
always a text; the quote itself is doubled inside: ``'L''Oréal'``. Quotes are needed for a column
whose name has a space or one of ``= ! < > ( ) ,``, for a value of a list with a comma, and for a
value with ``= < >`` or with the word *and* or *or*, which more likely is a second condition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

Value = str | float | bool


class Comparison(StrEnum):
    """How the value of a column is compared."""

    EQUALS = "="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    ONE_OF = "in"
    IS_MISSING = "is missing"


@dataclass(frozen=True)
class Where:
    """A condition as it was typed.

    Attributes:
        column: name of the column.
        comparison: how its value is compared.
        values: with what; one for most, none for ``IS_MISSING``.
        is_negated: whether the rows are wanted that do not meet it.
    """

    column: str
    comparison: Comparison
    values: tuple[Value, ...] = ()
    is_negated: bool = False


_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_COLUMN = re.compile(rf"\s*({_QUOTED}|[^\s=!<>(),'\"][^\s=!<>(),]*)\s*")
_OPERATOR = re.compile(
    r"(?P<symbol>[=!<>]+)\s*|(?P<missing>is\s+(?P<has>not\s+)?missing)\s*$"
    r"|(?P<not>not\s+)?in\s*(?=\()",
    re.IGNORECASE,
)
_WHOLE = re.compile(rf"({_QUOTED})\s*$")
_ITEM = re.compile(rf"\s*({_QUOTED}|[^\s,()'\"][^,()]*)\s*(?=[,)])")
# As the index has it: attributes.values tells why 0123 and long numbers are none.
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII
)
_TRUTHS = {"true": True, "false": False}
_SECOND = re.compile(r"[=<>]|(?<!\S)(?:and|or)(?!\S)", re.IGNORECASE)
_SYMBOLS = {"=": False, "!=": True}
_EXPECTED = "= != < <= > >=, in (…), not in (…), is missing or is not missing"


def parse_where(text: str) -> Where:
    """Read a condition.

    Args:
        text: such as ``brand = Nuxe``.

    Raises:
        ValueError: saying what is wrong, and where.
    """
    return _Reader(text).condition()


class _Reader:
    """Reads one condition from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._position = text, 0

    def condition(self) -> Where:
        column = self._column()
        found = _OPERATOR.match(self._text, self._position)
        if found is None:
            raise self._error(f"after the column, write {_EXPECTED}")
        if found["missing"]:
            return Where(column, Comparison.IS_MISSING, (), bool(found["has"]))
        if (symbol := found["symbol"]) is None:
            self._position = found.end()
            return Where(column, Comparison.ONE_OF, self._list(), bool(found["not"]))
        if symbol not in _SYMBOLS and symbol not in set(Comparison):
            raise self._error(f"there is no {symbol}; write {_EXPECTED}")
        self._position = found.end()
        if symbol in _SYMBOLS:
            return Where(column, Comparison.EQUALS, (self._value(),), _SYMBOLS[symbol])
        return Where(column, Comparison(symbol), (self._number(symbol),))

    def _column(self) -> str:
        found = _COLUMN.match(self._text)
        if found is None:
            raise self._error("write the name of a column first, in quotes if it is no single word")
        self._position = found.end()
        return _unquoted(found[1])

    def _value(self) -> Value:
        """The rest of the text."""
        rest = self._text[self._position :]
        if not rest:
            raise self._error("write a value here, or '' for an empty text")
        if rest[0] in "'\"":
            found = _WHOLE.match(rest)
            if found is None:
                raise self._error("the quote is not closed at the end; inside, double it")
            return _unquoted(found[1])
        if (second := _SECOND.search(rest)) is not None:
            self._position += second.start()
            raise self._error(
                "put the value in quotes if this belongs to it; give a second condition separately"
            )
        return _bare(rest.strip())

    def _number(self, symbol: str) -> float:
        place, value = self._position, self._value()
        if isinstance(value, str | bool):
            self._position = place
            raise self._error(f"only numbers go with {symbol}, such as 30 or 12.50")
        return value

    def _list(self) -> tuple[Value, ...]:
        """What stands in parentheses."""
        values: list[Value] = []
        self._position += 1
        while True:
            found = _ITEM.match(self._text, self._position)
            if found is None:
                raise self._error("write a list of values with commas, and close it: (Ruby, Amber)")
            is_quoted = found[1][0] in "'\""
            values.append(_unquoted(found[1]) if is_quoted else _bare(found[1].strip()))
            self._position = found.end() + 1
            if self._text[found.end()] == ")":
                break
        if self._text[self._position :].strip():
            raise self._error("nothing may follow the list; give a second condition separately")
        return tuple(values)

    def _error(self, problem: str) -> ValueError:
        rest = self._text[self._position :].strip()
        place = f"at {_shortened(rest)!r}" if rest else "at the end"
        return ValueError(f"{_shortened(self._text)!r}, {place}: {problem}.")


def _bare(text: str) -> Value:
    """The value of a text without quotes."""
    if _NUMBER.fullmatch(text):
        return float(text)
    return _TRUTHS.get(text.lower(), text)


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(2 * quote, quote) if quote in "'\"" else text


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
