"""Decodes messages of the protocol to plain dataclasses, field by field."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache, partial
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

Value = TypeVar("Value")


def decoded(cls: type[Value], message: Message) -> Value:
    """Decode a message of the protocol.

    Args:
        cls: a dataclass whose fields have the names of the message's.
        message: the message.
    """
    values = {}
    decoders = _decoders(cls)  # type: ignore[arg-type] # every class can be hashed
    for name, decode, is_optional in decoders:
        is_set = not is_optional or message.HasField(name)
        values[name] = decode(getattr(message, name)) if is_set else None
    return cls(**values)


@cache
def _decoders(cls: type[Any]) -> tuple[tuple[str, Callable[[Any], Any], bool], ...]:
    """The name of each field, how its value is decoded, and whether it may be unset."""
    decoders = []
    for name, kind in get_type_hints(cls).items():
        is_optional = get_origin(kind) is UnionType  # X | None
        decoders.append((name, _decoder(get_args(kind)[0] if is_optional else kind), is_optional))
    return tuple(decoders)


def _decoder(kind: Any) -> Callable[[Any], Any]:
    """How a value is decoded to the type that a field declares."""
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(decoded, kind)
    if get_origin(kind) is tuple:
        decode = _decoder(get_args(kind)[0])
        return lambda values: tuple(map(decode, values))
    if get_origin(kind) is dict:
        return _dictionary
    return cast("Callable[[Any], Any]", kind)  # a number, a text, a stage


def _dictionary(entries: Any) -> dict[Any, Any]:
    """Decode a map, or a list of messages with two fields: a key and its value."""
    if isinstance(entries, Mapping):
        return dict(entries)
    return {
        getattr(entry, key.name): getattr(entry, value.name)
        for entry in entries
        for key, value in [entry.DESCRIPTOR.fields]
    }
