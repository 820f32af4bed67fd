"""A synchronous client of ``retrieval_server.v1``."""

import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc

from client.access import Access
from client.change_request import upsert_batches
from client.changes import CatalogueProduct, Deleted, Upserted
from client.channel import open_channel
from client.decoding import decoded
from client.errors import (
    UNREACHABLE,
    DeadlineExceededError,
    InvalidQueryError,
    OverloadedError,
    UnavailableError,
    translated,
    ungrouped,
)
from client.filters import Filter
from client.results import FoundProducts, SearchResult
from client.search_request import (
    add_groups,
    add_method,
    add_part,
    add_words,
    image_query,
    product_query,
)
from client.sendable import sendable_ids
from client.server_status import ServerStatus
from retrieval_server.command_line.durations import waitable
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

DEFAULT_SERVER = "localhost:50051"
DEFAULT_TIMEOUT_S = 10.0
OPEN = Access()  # no TLS and no token


_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class RetrievalClient:
    """Search a catalogue by photo or by product, and look products up.

    Thread-safe; one client serves many threads over one connection, which opens with the first
    call. A call to a server that is unreachable or stopping is retried within the time limit. Every
    method raises RetrievalError.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        access: Access = OPEN,
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            server: host:port.
            timeout_s: time limit of each call, retries included; ``inf`` is none.
            access: certificates and token, where the server asks for them; by default neither TLS
                nor a token.
        """
        self.server = server
        self.timeout_s = timeout_s
        self._access = access
        self._channel = open_channel(server, access)
        self._closed = threading.Event()
        stub = pb_grpc.RetrievalServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._search: grpc.UnaryUnaryMultiCallable[pb.SearchRequest, pb.SearchResponse]
        self._search = stub.Search
        self._get_products: grpc.UnaryUnaryMultiCallable[
            pb.GetProductsRequest, pb.GetProductsResponse
        ]
        self._get_products = stub.GetProducts
        self._get_status: grpc.UnaryUnaryMultiCallable[pb.GetStatusRequest, pb.GetStatusResponse]
        self._get_status = stub.GetStatus
        self._upsert: grpc.StreamStreamMultiCallable[pb.UpsertRequest, pb.UpsertResponse]
        self._upsert = stub.Upsert
        self._delete: grpc.UnaryUnaryMultiCallable[pb.DeleteRequest, pb.DeleteResponse]
        self._delete = stub.Delete

    def search(
        self,
        image: bytes | Path | None = None,
        *,
        more_images: Iterable[bytes | Path] = (),
        words: str = "",
        read_words: bool | None = None,
        text_weight: float | None = None,
        where: Filter | None = None,
        exclude_ids: Iterable[str] = (),
        min_similarity: float | None = None,
        group_by: str | None = None,
        top_k: int | None = None,
        keep: int | None = None,
        refine: bool = True,
        alpha: Mapping[str, float] | None = None,
        busy_wait_s: float = 0.0,
    ) -> SearchResult:
        """Find the products that look like an image, whose text has some words, or both.

        Args:
            image: an encoded image (JPEG, PNG, WebP, HEIC, ...) or the path of one; None searches
                by the words alone.
            more_images: further images of the same thing, up to ``Limits.max_photos`` in all.
            words: words that the product's text should have, such as brand and type.
            read_words: whether to read the words on the images as well; None takes the server's
                default.
            text_weight: strength of the words, from 0 to ``Limits.max_text_weight``; None takes
                the server's default.
            where: which products may be found, by the catalogue's columns, such as
                ``Column("price") < 30``; None takes all.
            exclude_ids: ids of products that may not be found, up to ``Limits.max_exclude_ids``;
                those that the index does not have are ignored.
            min_similarity: the ``similarity`` that a product has at least to be found; None takes
                any.
            group_by: name of a column: each result is the best image of one of its values, such as
                one image of each ``product``; None groups nothing.
            top_k: number of results, from 1 to ``Limits.max_top_k``; None takes the server's
                default.
            keep: the paper's k, how many of the best visual matches stay, from 1 to
                ``Limits.max_top_k``; None takes the server's default.
            refine: whether to refine through the textual index.
            alpha: strength of a backbone in eq. (8) by model name; one left out keeps its default.
            busy_wait_s: how long to try again while the server is busy, each time when it says.

        Returns:
            The results and the initial ranking, best first.
        """
        if image is None and not words.strip():
            raise InvalidQueryError("Nothing to search for. Give an image, words, or both.")
        request = image_query(image, more_images, read_words)
        add_words(request, words, text_weight)
        add_part(request, where, exclude_ids, min_similarity)
        add_groups(request, group_by)
        add_method(request, top_k, keep, refine, alpha)
        return self._found(request, busy_wait_s)

    def similar(
        self,
        product_id: str,
        *,
        words: str = "",
        text_weight: float | None = None,
        where: Filter | None = None,
        exclude_ids: Iterable[str] = (),
        min_similarity: float | None = None,
        group_by: str | None = None,
        top_k: int | None = None,
        keep: int | None = None,
        refine: bool = True,
        alpha: Mapping[str, float] | None = None,
        busy_wait_s: float = 0.0,
    ) -> SearchResult:
        """Find products like one of the catalogue, itself left out.

        Args:
            product_id: id in the server's index.
            words: see search.
            text_weight: see search.
            where: see search.
            exclude_ids: see search.
            min_similarity: see search.
            group_by: see search.
            top_k: see search.
            keep: see search.
            refine: see search.
            alpha: see search.
            busy_wait_s: see search.

        Returns:
            The results and the initial ranking, best first.
        """
        request = product_query(product_id)
        add_words(request, words, text_weight)
        add_part(request, where, exclude_ids, min_similarity)
        add_groups(request, group_by)
        add_method(request, top_k, keep, refine, alpha)
        return self._found(request, busy_wait_s)

    def products(self, product_ids: Iterable[str], *, busy_wait_s: float = 0.0) -> FoundProducts:
        """Ask what the catalogue says of some products.

        Args:
            product_ids: ids in the server's index, up to ``Limits.max_product_ids``; one that is
                there several times counts once.
            busy_wait_s: see search.

        Returns:
            The products, and the ids that are not in the index.
        """
        request = pb.GetProductsRequest(product_ids=sendable_ids(product_ids))
        return decoded(FoundProducts, self._admitted(self._get_products, request, busy_wait_s))

    def upsert(self, products: Iterable[CatalogueProduct]) -> Iterator[Upserted]:
        """Add products to the catalogue, or replace them; safe to repeat.

        Args:
            products: the products; they are sent while the outcomes are read.

        Yields:
            The outcome of each, in their order: durable, or why it was refused. There is no time
            limit but that of the server.
        """
        for batch in upsert_batches(products):
            requests = [each for each in batch if isinstance(each, pb.UpsertRequest)]
            metadata = self._access.metadata()
            try:
                responses = iter(self._upsert(iter(requests), metadata=metadata))
                for each in batch:
                    if isinstance(each, Upserted):
                        yield each
                    elif (response := next(responses, None)) is not None:
                        yield decoded(Upserted, response)
                    else:
                        raise UnavailableError(
                            f"Server {self.server} has ended the stream. Send the rest again."
                        )
            except grpc.RpcError as error:
                raise translated(error, self.server, self.timeout_s) from error

    def delete(self, product_ids: Iterable[str]) -> Deleted:
        """Remove products from the catalogue.

        Args:
            product_ids: their ids, up to ``Limits.max_product_ids``.

        Returns:
            How many were removed, and the ids that were not there.
        """
        request = pb.DeleteRequest(product_ids=sendable_ids(product_ids))
        return decoded(Deleted, self._call(self._delete, request, self.timeout_s))

    def status(self) -> ServerStatus:
        """Ask what is being served."""
        request = pb.GetStatusRequest()
        return decoded(ServerStatus, self._call(self._get_status, request, self.timeout_s))

    def wait_until_ready(self, wait_s: float) -> ServerStatus:
        """Wait for a server that is starting.

        Args:
            wait_s: how long at most; in place of the client's timeout_s.

        Returns:
            Its status, as soon as it answers.

        Raises:
            UnavailableError: if it has not answered by then.
        """
        deadline = time.monotonic() + wait_s
        reason = UnavailableError(
            UNREACHABLE.format(server=self.server, details=f"no answer for {wait_s:g} s"),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        while True:
            remaining_s = max(0.0, deadline - time.monotonic())
            request = pb.GetStatusRequest()
            try:
                answer = self._call(self._get_status, request, remaining_s, wait_for_ready=True)
            except DeadlineExceededError as error:
                raise reason from error
            except UnavailableError as error:
                reason = error  # it listens but is not ready; gRPC's retries waited in between
            else:
                return decoded(ServerStatus, answer)

    def close(self) -> None:
        """Close the connection and cancel the calls under way; safe to repeat."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def _found(self, request: pb.SearchRequest, busy_wait_s: float) -> SearchResult:
        """Send a request for a search."""
        response = self._admitted(self._search, request, busy_wait_s)
        if request.group_by and not all(match.HasField("group_size") for match in response.results):
            raise ungrouped(self.server)
        return decoded(SearchResult, response)

    def _admitted(
        self,
        method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        busy_wait_s: float,
    ) -> _Response:
        """Call the server, again and again while it is busy and there is time."""
        deadline = time.monotonic() + busy_wait_s
        while True:
            try:
                return self._call(method, request, self.timeout_s)
            except OverloadedError as error:
                wait_s = error.retry_after_s
                if wait_s is None or time.monotonic() + wait_s > deadline:
                    raise
                # Callers that were refused together do not all come back together.
                if self._closed.wait(random.uniform(1.0, 1.5) * wait_s):
                    raise

    def _call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        timeout_s: float,
        *,
        wait_for_ready: bool = False,
    ) -> _Response:
        """Call the server; the one place where gRPC's errors become ours."""
        try:
            return method(
                request,
                timeout=waitable(timeout_s),
                metadata=self._access.metadata(),
                wait_for_ready=wait_for_ready,
            )
        except grpc.RpcError as error:
            raise translated(error, self.server, timeout_s) from error
