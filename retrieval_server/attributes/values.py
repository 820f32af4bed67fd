"""What the text of a value says: a number, a truth value, or only itself.

A catalogue holds texts. A column is of numbers if each of its values is one, of truth values if
each is one, and of texts otherwise. Spaces around a value do not count.

==============  ===================================  ==============================================
kind            values                               not of this kind
==============  ===================================  ==============================================
truth values    ``true`` and ``false``, in any case  ``yes``, ``1``
numbers         ``12.50``, ``-3``, ``+.5``, ``1e3``  ``12,50``, ``1_000``, ``1 000``, ``0x1F``,
                                                     ``nan``, ``inf``, ``12.50 EUR``; ``0123`` and
                                                     whole numbers of more than 15 digits
==============  ===================================  ==============================================

A digit 0 in front marks an identifier, such as a postal code: 0123 and 123 are two of them. Float64
tells whole numbers of up to 15 digits apart, but not all longer ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from enum import StrEnum

_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
)
_IDENTIFIER = re.compile("^[0-9]+$|[0-9][A-Za-z/-]|[A-Za-z/][0-9]")

# Numbers as shops and spreadsheets write them: 12,50 / 1.234,56 / 1 000 / €9.99 / 12.50 EUR / 20 %
_CURRENCY = (
    "(?:[$¢£¤¥฿\u20a0-\u20cf]|zł|kr|Kč|Ft|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR"
    "|JPY|KRW|MXN|MYR|NOK|NZD|PHP|PLN|RON|RUB|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR)"
)
_AMOUNT = (
    r"(?:[1-9][0-9]{0,2}(?:[.,'’_\s][0-9]{3})+(?:[.,][0-9]+)?|[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)"
)
_WRITTEN_NUMBER = re.compile(
    rf"(?:{_CURRENCY}\s*)?[+−-]?(?:{_CURRENCY}\s*)?{_AMOUNT}"
    rf"(?:\s*(?:{_CURRENCY}|%))?"
)


class ColumnKind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"


def number_of(text: str) -> float | None:
    """The number that a text says, finite and never -0; None if it says none."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text) + 0.0  # makes 0 of -0, so that equal numbers are equal bytes
    return number if math.isfinite(number) else None


def truth_of(text: str) -> bool | None:
    """The truth value that a text says; None if it says none."""
    return {"true": True, "false": False}.get(text.strip().lower())


def kind_of(texts: Iterable[str]) -> ColumnKind:
    """The kind of a column.

    Args:
        texts: its values; those that are missing are not among them.

    Returns:
        The kind; a column without values is of texts.
    """
    texts = tuple(texts)
    if not texts:
        return ColumnKind.TEXT
    if all(truth_of(text) is not None for text in texts):
        return ColumnKind.TRUTH
    if all(number_of(text) is not None for text in texts):
        return ColumnKind.NUMBER
    return ColumnKind.TEXT


def stray_value(texts: Collection[str]) -> str:
    """The first value because of which a column is of texts that was meant to be of numbers.

    Args:
        texts: the different values of a column of texts.

    Returns:
        The value as it is; empty if the column was not meant so: if at most half of its values
        are written like numbers, or if it holds identifiers, such as 0123 or 1002-A.
    """
    strays = [text for text in texts if number_of(text) is None]
    others = 0  # not even written like numbers
    for text in map(str.strip, strays):
        if _WRITTEN_NUMBER.fullmatch(text) and not text.isdecimal():
            continue
        if _IDENTIFIER.search(text):
            return ""
        others += 1
    return strays[0] if others * 2 < len(texts) else ""
