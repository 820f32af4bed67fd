"""What a search asks, as plain Python values; it becomes one message."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from client.access import file_bytes
from client.errors import InvalidQueryError, RetrievalError, UnreadableFileError
from client.filters import Filter
from client.results import SearchResult
from client.sendable import sendable_count, sendable_text
from retrieval_server.v1 import retrieval_pb2 as pb


@dataclass(frozen=True, eq=False)
class Query:
    """A search by an image, by a product, or by words alone.

    Attributes:
        image: an encoded image (JPEG, PNG, WebP, HEIC, ...) or the path of one.
        product_id: id of a product of the server's index; itself is left out.
        more_images: further images of the same thing, up to ``Limits.max_photos`` in all.
        words: words that the product's text should have, such as brand and type.
        read_words: whether to read the words on the images as well; None takes the server's
            default.
        text_weight: strength of the words, from 0 to ``Limits.max_text_weight``; None takes the
            server's default.
        where: which products may be found, by the catalogue's columns, such as
            ``Column("price") < 30``; None takes all.
        exclude_ids: ids of products that may not be found, up to ``Limits.max_exclude_ids``; those
            that the index does not have are ignored.
        min_similarity: the ``similarity`` that a product has at least to be found; None takes any.
        group_by: name of a column: each result is the best image of one of its values, such as one
            image of each ``product``; None groups nothing.
        top_k: number of results, from 1 to ``Limits.max_top_k``; None takes the server's default.
        keep: the paper's k, how many of the best visual matches stay, from 1 to
            ``Limits.max_top_k``; None takes the server's default.
        refine: whether to refine through the textual index.
        alpha: strength of a backbone in eq. (8) by model name; one left out keeps its default.
    """

    image: bytes | Path | None = field(default=None, repr=False)
    _: KW_ONLY
    product_id: str | None = None
    more_images: Iterable[bytes | Path] = field(default=(), repr=False)
    words: str = ""
    read_words: bool | None = None
    text_weight: float | None = None
    where: Filter | None = None
    exclude_ids: Iterable[str] = ()
    min_similarity: float | None = None
    group_by: str | None = None
    top_k: int | None = None
    keep: int | None = None
    refine: bool = True
    alpha: Mapping[str, float] | None = None

    def message(self) -> pb.SearchRequest:
        """Make the message of the protocol; reads the files of the images.

        Raises:
            UnreadableFileError: if a file cannot be read.
            InvalidQueryError: if the protocol cannot carry a value.
            ValueError: if a count is below 1.
        """
        request = pb.SearchRequest(refine=self.refine)
        self._add_query(request)
        self._add_words(request)
        self._add_part(request)
        self._add_groups(request)
        request.top_k = sendable_count("top_k", self.top_k)
        request.keep = sendable_count("keep", self.keep)
        request.alpha.update(
            {sendable_text("alpha", model): value for model, value in (self.alpha or {}).items()}
        )
        return request

    def _add_query(self, request: pb.SearchRequest) -> None:
        """Add what to search for."""
        if self.image is not None and self.product_id is not None:
            raise InvalidQueryError("Give an image or a product_id, not both.")
        if self.product_id is not None:
            request.product_id = sendable_text("product_id", self.product_id)
        elif self.image is not None:
            request.image = _image_bytes(self.image)
        elif not self.words.strip():
            raise InvalidQueryError("Nothing to search for. Give an image, words, or both.")
        request.more_images.extend(map(_image_bytes, self.more_images))
        if self.read_words is not None:
            request.read_words = self.read_words

    def _add_words(self, request: pb.SearchRequest) -> None:
        """Add words, and their strength if it is not the server's default."""
        request.words = sendable_text("words", self.words)
        if self.text_weight is not None:
            request.text_weight = self.text_weight

    def _add_part(self, request: pb.SearchRequest) -> None:
        """Add which part of the catalogue is searched."""
        if self.where is not None:
            if not isinstance(self.where, Filter):
                raise TypeError(
                    f"where takes a filter, such as Column('price') < 30, not {self.where!r}."
                )
            request.filter.CopyFrom(self.where.message)
        if isinstance(self.exclude_ids, str):
            raise TypeError(f"exclude_ids takes several ids. Write [{self.exclude_ids!r}] for one.")
        request.exclude_ids.extend(
            sendable_text("exclude_ids", product_id) for product_id in self.exclude_ids
        )
        if self.min_similarity is not None:
            request.min_similarity = self.min_similarity

    def _add_groups(self, request: pb.SearchRequest) -> None:
        """Add the column by whose values the results are grouped, if there is one."""
        if self.group_by is None:
            return
        request.group_by = sendable_text("group_by", self.group_by)
        if not self.group_by:  # the protocol's form of no column
            raise InvalidQueryError("group_by is empty. Name a column; None groups nothing.")


@dataclass(frozen=True)
class Answer:
    """What became of a query of a stream.

    Attributes:
        number: place of the query among those of the stream, from 0.
        query: the query.
        outcome: what was found, or why there is no answer.
    """

    number: int
    query: Query
    outcome: SearchResult | RetrievalError


def _image_bytes(image: bytes | Path) -> bytes:
    if isinstance(image, bytes):
        if not image:
            raise UnreadableFileError("The image is empty (0 bytes). Send an encoded image.")
        return image
    return file_bytes(image)
