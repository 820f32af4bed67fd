"""Schemas: their files, and what is wrong with an object that should be as one describes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.policies.fields.values import TYPES, allows, type_of

SCHEMAS = Path(__file__).with_name("schemas")
SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Schema:
    """A part of a file: what one value may be.

    Attributes:
        file: the stem of the file's name.
        content: of that part.
    """

    file: str
    content: Any

    @property
    def path(self) -> str:
        """The file, as a message names it."""
        return f"deploy/policies/fields/schemas/{self.file}.yaml"

    def part(self, content: Any) -> Schema:
        """A part of the same file; the content of another one in place of its name."""
        name = type_of(content) if isinstance(content, str) else ""
        return load(name) if name and name not in TYPES else Schema(self.file, content)


def is_described(name: str) -> bool:
    """Whether there is a file of a name."""
    return (SCHEMAS / f"{name}.yaml").is_file()


@cache
def load(name: str) -> Schema:
    """The schema of a file.

    Args:
        name: of the file, without its ending.

    Raises:
        LookupError: if there is none, naming it.
    """
    if not is_described(name):
        raise LookupError(f"there is no schema {Schema(name, None).path}")
    text = (SCHEMAS / f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    return Schema(name, content)


def problems(schema: Schema, value: Any, path: str = "") -> list[str]:
    """What is wrong with a value, one phrase each.

    Args:
        schema: of the value.
        value: of the object.
        path: where in the object the value is.
    """
    if isinstance(schema.content, dict):
        return list(_mapping_problems(schema, value, path))
    if isinstance(schema.content, list):
        return list(_list_problems(schema, value, path))
    words = schema.content.split(" | ") if isinstance(schema.content, str) else [schema.content]
    if len(words) == 1:
        part = schema.part(words[0])
        if part.content is not words[0]:
            return problems(part, value, path)
        if allows(words[0], value):
            return []
        return [f"{path} is {_shown(value)}, not {words[0]} ({schema.path})"]
    return _best(schema, words, value, path)


def _mapping_problems(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is {_shown(value)}, not an object with fields ({schema.path})"
        return
    fields = _fields(schema)
    for name in value:
        field = fields.get(name) or fields.get(f"{name}?") or _field_by_type(fields, name)
        where = f"{path}.{name}" if path else str(name)
        if field is None:
            files = " and ".join(_files(schema))
            yield f"{where} is {_shown(value[name])}, a field without a name in {files}"
        else:
            yield from problems(field, value[name], where)
    for name in fields:
        if not name.endswith("?") and not type_of(name) and name not in value:
            yield f"{f'{path}.{name}' if path else name} is missing ({schema.path})"


def _fields(schema: Schema) -> dict[str, Schema]:
    """The fields of a mapping, with those of the files that it names by ``also``."""
    found: dict[str, Schema] = {}
    if "also" in schema.content:
        found |= _fields(load(schema.content["also"]))
    for name, content in schema.content.items():
        if name != "also":
            found = {
                key: each for key, each in found.items() if key.rstrip("?") != name.rstrip("?")
            }
            found[name] = schema.part(content)
    return found


def _files(schema: Schema) -> list[str]:
    """The file of a mapping, and those that it includes."""
    more = _files(load(schema.content["also"])) if "also" in schema.content else []
    return list(dict.fromkeys([schema.path, *more]))


def _field_by_type(fields: dict[str, Schema], name: str) -> Schema | None:
    for key, field in fields.items():
        if type_of(key) and TYPES[type_of(key)](name):
            return field
    return None


def _list_problems(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        yield f"{path} is {_shown(value)}, not a list with items ({schema.path})"
        return
    for index, item in enumerate(value):
        name = item.get("name", index) if isinstance(item, dict) else index
        yield from _best(schema, schema.content, item, f"{path}[{name}]")
    names = [item["name"] for item in value if isinstance(item, dict) and "name" in item]
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"{path} has two items of the name {name}"


def _best(schema: Schema, alternatives: Sequence[Any], value: Any, path: str) -> list[str]:
    """The problems of the alternative that fits best; none if one fits."""
    found = [problems(schema.part(each), value, path) for each in alternatives]
    is_scalar = not isinstance(value, dict | list)
    if is_scalar and len(found) > 1 and all(found):
        known = " | ".join(map(str, alternatives))
        return [f"{path} is {_shown(value)}, not {known} ({schema.path})"]
    return min(found, key=len)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
