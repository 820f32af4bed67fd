"""A change as a value, and its content in the log.

The content is a JSON object with its size in 4 bytes before it, and behind it the descriptors of an
upsert: one after the other in the order of the profile, as the index stores them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import ChangeLogError
from retrieval_server.index.descriptors import DescriptorShape
from retrieval_server.index.product import Product
from retrieval_server.storage.json_record import check_types, parse_json
from retrieval_server.text.read_text import NOT_READ

_SIZE = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True)
class Upsert:
    """A product as it is from now on; it replaces the one of its id as a whole.

    Attributes:
        product: what the catalogue says of it.
        descriptors: (C_n,) by backbone of the profile, of the type that the index stores.
        image_digest: SHA-256 of the image file, hexadecimal; empty where descriptors were given.
        has_text_neighbours: whether the language filter of the index lets the description into
            the lists of similar descriptions.
        read_entry: what was read on the image, see ``text.read_text``.
    """

    product: Product
    descriptors: tuple[NDArray[Any], ...]
    image_digest: str = ""
    has_text_neighbours: bool = True
    read_entry: str = NOT_READ

    @property
    def product_id(self) -> str:
        """The id of the product."""
        return self.product.product_id


@dataclass(frozen=True)
class Delete:
    """A product that is not there any more.

    Attributes:
        product_id: its id.
    """

    product_id: str


Change: TypeAlias = Upsert | Delete


def encoded(change: Change) -> bytes:
    """The content of a change."""
    if isinstance(change, Delete):
        return _with_size({"delete": change.product_id})
    fields = {
        "upsert": change.product.product_id,
        "description": change.product.description,
        "image": change.product.image,
        "attributes": dict(change.product.attributes),
        "image_digest": change.image_digest,
        "has_text_neighbours": change.has_text_neighbours,
        "read": change.read_entry,
    }
    return _with_size(fields) + b"".join(array.tobytes() for array in change.descriptors)


def decoded(content: bytes, shapes: Sequence[DescriptorShape]) -> Change:
    """The change of a content.

    Args:
        content: what ``encoded`` made.
        shapes: those of the index's descriptors, by backbone.

    Raises:
        ChangeLogError: if it is none, or its descriptors have other shapes.
    """
    try:
        (size,) = _SIZE.unpack_from(content)
        fields = parse_json(content[_SIZE.size : _SIZE.size + size])
        change: Change
        if "delete" in fields:
            change = Delete(fields["delete"])
        else:
            change = _upsert(fields, _arrays(content[_SIZE.size + size :], shapes))
        check_types(change)
        return change
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise ChangeLogError(
            f"The log has a change that this program cannot read ({error}). Use the version of "
            "beauty-retrieval that wrote it."
        ) from error


def _upsert(fields: Mapping[str, Any], descriptors: tuple[NDArray[Any], ...]) -> Upsert:
    product = Product(
        fields["upsert"], fields["description"], fields["image"], fields["attributes"]
    )
    return Upsert(
        product=product,
        descriptors=descriptors,
        image_digest=fields["image_digest"],
        has_text_neighbours=fields["has_text_neighbours"],
        read_entry=fields["read"],
    )


def _arrays(content: bytes, shapes: Sequence[DescriptorShape]) -> tuple[NDArray[Any], ...]:
    if len(content) != sum(dtype.itemsize * length for dtype, length in shapes):
        raise ValueError("its descriptors are not those of the models of the index")
    arrays, at = [], 0
    for dtype, length in shapes:
        arrays.append(np.frombuffer(content, dtype, length, at))
        at += dtype.itemsize * length
    return tuple(arrays)


def _with_size(fields: Mapping[str, Any]) -> bytes:
    content = json.dumps(fields, ensure_ascii=False).encode()
    return _SIZE.pack(len(content)) + content
