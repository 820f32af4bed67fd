"""Makes the messages that a client sends, of plain Python values."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from client.access import file_bytes
from client.errors import InvalidQueryError, UnreadableFileError
from client.filters import Filter
from client.sendable import sendable_count, sendable_text
from retrieval_server.v1 import retrieval_pb2 as pb


def image_query(
    image: bytes | Path | None, more_images: Iterable[bytes | Path], read_words: bool | None
) -> pb.SearchRequest:
    """Make the request for images; without one, its words are the query.

    Args:
        image: an encoded image or the path of one.
        more_images: further images of the same thing.
        read_words: whether to read the words on the images; None leaves it to the server.
    """
    request = pb.SearchRequest()
    if image is not None:
        request.image = _image_bytes(image)
        request.more_images.extend(map(_image_bytes, more_images))
    if read_words is not None:
        request.read_words = read_words
    return request


def product_query(product_id: str) -> pb.SearchRequest:
    """Make the request for products like one of the catalogue."""
    return pb.SearchRequest(product_id=sendable_text("product_id", product_id))


def add_words(request: pb.SearchRequest, words: str, text_weight: float | None) -> None:
    """Add words, and their strength if it is not the server's default."""
    request.words = sendable_text("words", words)
    if text_weight is not None:
        request.text_weight = text_weight


def add_part(
    request: pb.SearchRequest,
    where: Filter | None,
    exclude_ids: Iterable[str],
    min_similarity: float | None,
) -> None:
    """Add which part of the catalogue is searched."""
    if where is not None:
        if not isinstance(where, Filter):
            raise TypeError(f"where takes a filter, such as Column('price') < 30, not {where!r}.")
        request.filter.CopyFrom(where.message)
    if isinstance(exclude_ids, str):
        raise TypeError(f"exclude_ids takes several ids. Write [{exclude_ids!r}] for one.")
    request.exclude_ids.extend(
        sendable_text("exclude_ids", product_id) for product_id in exclude_ids
    )
    if min_similarity is not None:
        request.min_similarity = min_similarity


def add_groups(request: pb.SearchRequest, group_by: str | None) -> None:
    """Add the column by whose values the results are grouped, if there is one."""
    if group_by is None:
        return
    request.group_by = sendable_text("group_by", group_by)
    if not group_by:  # the protocol's form of no column
        raise InvalidQueryError("group_by is empty. Name a column; None groups nothing.")


def add_method(
    request: pb.SearchRequest,
    top_k: int | None,
    keep: int | None,
    refine: bool,
    alpha: Mapping[str, float] | None,
) -> None:
    """Add how the method is run."""
    request.top_k = sendable_count("top_k", top_k)
    request.keep = sendable_count("keep", keep)
    request.refine = refine
    request.alpha.update(
        {sendable_text("alpha", model): value for model, value in (alpha or {}).items()}
    )


def _image_bytes(image: bytes | Path) -> bytes:
    if isinstance(image, bytes):
        if not image:
            raise UnreadableFileError("The image is empty (0 bytes). Send an encoded image.")
        return image
    return file_bytes(image)
