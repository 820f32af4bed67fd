"""What the readers of tables share: records, the names of columns, values in messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from retrieval_server.errors import CatalogueError

Record = Mapping[str, object]

COLUMNS_SHOWN = 12  # in a message; an export of a shop has a hundred
CHARACTERS_SHOWN = 60
# Byte-order mark, zero-width and direction marks, as editors and file dialogs add them; and what
# ends a file of DOS.
_INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\x1a"
_KNOWN_COLUMNS = {  # how shops, feeds and data sets name our columns; the better ones first
    "id": "g:id, sku, variant sku, handle, product_id, item_id, asin, image_id, code, uid",
    "image": (
        "g:image_link, image_link, image src, base_image, image_url, image url, img, "
        "picture, photo, image_path, file_name, filename, path, image link"
    ),
    "description": (
        "g:description, body (html), body, short description, short_description, title, g:title, "
        "product title, name, text, caption"
    ),
}


@dataclass(frozen=True)
class Table:
    """The records of a file.

    Attributes:
        records: the location of each, such as ``line 7``, and its values by column.
        notes: what a person should know about how the file was understood.
    """

    records: Iterable[tuple[str, Record]]
    notes: tuple[str, ...] = ()


def without_padding(text: str) -> str:
    """A text without the white space and the invisible characters around it."""
    return text.strip().strip(_INVISIBLE).strip()


@dataclass(frozen=True)
class NeededColumns:
    """The columns that a table needs.

    Attributes:
        choices: a table has at least one column of each choice; the first is the usual one.
    """

    choices: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, *names: str) -> NeededColumns:
        """Columns without a choice."""
        return cls(tuple((name,) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all choices."""
        return tuple(name for choice in self.choices for name in choice)

    @property
    def usual(self) -> tuple[str, ...]:
        """The first name of each choice."""
        return tuple(choice[0] for choice in self.choices)

    def missing(self, present: Collection[str]) -> list[str]:
        """The usual names of those that a table lacks."""
        return [choice[0] for choice in self.choices if not any(name in present for name in choice)]


NO_COLUMNS = NeededColumns(())


@lru_cache(maxsize=64)  # the objects of JSON lines have few sets of names
def column_names(names: tuple[str, ...], needed: NeededColumns) -> tuple[str, ...]:
    """The names of columns without padding, and those that we need as we write them.

    Args:
        names: as the file has them, such as ``" ID "``.
        needed: the columns that we need; upper and lower case mean the same, unless the file has
            the name in our spelling as well.

    Returns:
        As many names.
    """
    bare = tuple(map(without_padding, names))
    ours = {name.casefold(): name for name in needed.names if name not in bare}
    return tuple(ours.get(name.casefold(), name) for name in bare)


def check_columns(file: Path, columns: Iterable[str], needed: NeededColumns) -> None:
    """Refuse a header that lacks a column, has one twice or has one without a name.

    Raises:
        CatalogueError: naming the column.
    """
    present = list(columns)
    if missing := needed.missing(present):
        named = ", ".join(map(shown, present[:COLUMNS_SHOWN])) or "none"
        if len(present) > COLUMNS_SHOWN:
            named += f" and {len(present) - COLUMNS_SHOWN} more"
        raise CatalogueError(
            f"{file} has no column {', '.join(map(repr, missing))}; its columns are {named}. "
            f"{rename_advice(present, missing)}"
        )
    if repeated := sorted({column for column in present if present.count(column) > 1}):
        if not repeated[0]:
            raise CatalogueError(f"{file} has columns without a name. Name or remove them.")
        raise CatalogueError(
            f"{file} has the column {', '.join(map(shown, repeated))} more than once. Rename or "
            "remove the others."
        )


def rename_advice(present: Sequence[str], missing: Collection[str]) -> str:
    """Propose which columns to rename, from the names that known exports use."""
    spelling = {name.casefold(): name for name in reversed(present)}
    proposed = {}
    for column in missing:
        known = _KNOWN_COLUMNS.get(column, "").split(", ")
        if found := next((spelling[name] for name in known if name in spelling), None):
            proposed[found] = column
    if not proposed:
        return "Rename or add it."
    renamed = ", ".join(f"{theirs!r} to {ours!r}" for theirs, ours in proposed.items())
    rest = ", ".join(repr(name) for name in missing if name not in proposed.values())
    return f"Rename {renamed}{f', and add {rest}' if rest else ''}."


def cut(text: str) -> str:
    """A text as a message shows it: cut if it is long."""
    return text if len(text) <= CHARACTERS_SHOWN else text[:CHARACTERS_SHOWN] + "…"


def shown(text: str) -> str:
    """A value as a message shows it: quoted, and cut if it is long."""
    return repr(cut(text))


class UniqueNames:
    """The names that were seen, and where: a name may stand in one row only.

    Args:
        file: named in the error.
        advice: ends the error.
    """

    def __init__(self, file: Path, advice: str) -> None:
        self._file = file
        self._advice = advice
        self._locations: dict[str, str] = {}

    def is_new(self, name: str, location: str) -> bool:
        """Note a name and its row; tell whether no row before has it."""
        return self._locations.setdefault(name, location) is location

    def repeated(self, name: str, location: str, words: str) -> CatalogueError:
        """The error of a name that is not new; names both rows.

        Args:
            name: the name.
            location: its row.
            words: what it is, such as "the id 'p1'".
        """
        return CatalogueError(
            f"{self._file}, {location}: {words} is already in {self._locations[name]}. "
            f"{self._advice}"
        )


def is_blank(values: Collection[str]) -> bool:
    """Tell whether a row of a spreadsheet holds nothing but white space."""
    return not (any(map(str.isalnum, values)) or any(map(without_padding, values)))
