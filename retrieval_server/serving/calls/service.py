"""The gRPC service: checks a request, calls the retriever, translates its results."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import grpc

from retrieval_server import errors
from retrieval_server.exact_search.shared_scan import Search, unshared
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.models.reader import EXPORT_READER
from retrieval_server.observability.metrics import QUEUES, ServerMetrics
from retrieval_server.observability.request_metrics import RequestMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.reading.reader import Reader
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.retrieval.search_result import SearchResult
from retrieval_server.serving.admission.admission import Admission, Kind
from retrieval_server.serving.admission.arrivals import Arrivals
from retrieval_server.serving.admission.deadline import Deadline
from retrieval_server.serving.admission.searching import Searching
from retrieval_server.serving.admission.turns import PLACES_PER_WORKER, Turns
from retrieval_server.serving.admission.workers import Workers
from retrieval_server.serving.calls.activity import ActivitySource
from retrieval_server.serving.calls.answering import Answering, Call
from retrieval_server.serving.calls.change_calls import ChangeCalls
from retrieval_server.serving.calls.descriptor_values import values_by_model
from retrieval_server.serving.calls.filter_messages import excluded_ids_of, filter_of, group_by_of
from retrieval_server.serving.calls.judged_queries import judged_kind
from retrieval_server.serving.calls.messages import (
    match_messages,
    model_messages,
    proof_message,
    read_line_message,
    unproved_warning,
)
from retrieval_server.serving.calls.photo_words import NOT_READ, text_weight_of
from retrieval_server.serving.calls.photos import PhotoStages, photos_of
from retrieval_server.serving.calls.products import products_message
from retrieval_server.serving.calls.search_streams import SearchStreams
from retrieval_server.serving.calls.status_message import status_message
from retrieval_server.serving.calls.streamed_call import StreamedCall
from retrieval_server.serving.calls.streams import Streams
from retrieval_server.serving.served.change_feed import ChangeFeed
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.serving.settings import Settings
from retrieval_server.text.word_search import words_beside
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

SERVE_A_READER = (
    f"Build the index with a profile that names one, and serve its models: {EXPORT_READER}"
)


class RetrievalService(pb_grpc.RetrievalServiceServicer):
    """Answers the calls of the protocol.

    Attributes:
        changes: answers those that change the catalogue.

    Args:
        served: holds the index to search.
        feed: has the changes to it.
        executor: runs decoding and ranking, so that the event loop stays free.
        reader: reads the words on photos; None reads nothing.
        admission: refuses the searches that cannot be answered in time.
        settings: the server's.
        metrics: counts requests that are refused or fail, and times the stages of searches.
        tracing: records the stages of a search as spans.
    """

    def __init__(
        self,
        served: ServedIndex,
        feed: ChangeFeed,
        executor: Executor,
        reader: Reader | None,
        admission: Admission,
        settings: Settings,
        metrics: ServerMetrics,
        tracing: Tracing,
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._served = served
        places = PLACES_PER_WORKER * settings.workers
        sizes = {"memory": settings.max_decoding_bytes, "encode": served.retriever.engine.in_flight}
        turns = {stage: Turns(sizes.get(stage, places)) for stage in QUEUES if stage != "rank"}
        self._searching = Searching(executor, settings.workers, metrics.together.observe)
        for queue, waiting in (*turns.items(), ("rank", self._searching)):
            metrics.waiting.labels(queue).set_function(partial(getattr, waiting, "waiting"))
        self._photos = PhotoStages(
            decoding=Workers(executor, turns["decode"]),
            memory=turns["memory"],
            encoding=turns["encode"],
            reading=turns["read"],
            tracing=tracing,
            reader=reader,
        )
        self._settings = settings
        self._activity = ActivitySource(metrics)
        arrivals = Arrivals(executor, settings.workers)
        self._answering = Answering(
            admission, arrivals, metrics, tracing, by_token=settings.token_file is not None
        )
        measuring, self._streams = RequestMetrics(metrics, tracing), Streams(settings)
        self._search_streams = SearchStreams(
            measuring.measured("Search", self._search_in_stream),
            self._streams,
            settings.max_stream_requests,
        )
        self.changes = ChangeCalls(
            served,
            feed,
            self._photos,
            settings.max_image_bytes,
            self._answering,
            measuring,
            self._streams,
        )

    async def Search(  # noqa: N802 - the name is the protocol's
        self,
        request: pb.SearchRequest,
        context: Call,
    ) -> pb.SearchResponse:
        """Find the products that match a query."""
        size = 1 + len(request.more_images)
        work = partial(self._search, request)
        return await self._answering.answer(self._kind(request), work, context, size=size)

    async def SearchStream(  # noqa: N802 - the name is the protocol's
        self,
        requests: AsyncIterator[pb.SearchStreamRequest],
        context: Call,
    ) -> AsyncIterator[pb.SearchStreamResponse]:
        """Find the products that match each query of a stream."""
        async with aclosing(self._search_streams.answer(requests, context)) as responses:
            async for response in responses:
                yield response

    def stop_streams(self) -> None:
        """End the open streams as soon as what they have read is answered."""
        self._streams.stop()

    async def GetProducts(  # noqa: N802 - the name is the protocol's
        self,
        request: pb.GetProductsRequest,
        context: grpc.aio.ServicerContext[pb.GetProductsRequest, pb.GetProductsResponse],
    ) -> pb.GetProductsResponse:
        """Give what the catalogue says of some products."""
        work = partial(self._products, request)
        return await self._answering.answer(Kind.PRODUCTS, work, context)

    async def Upsert(  # noqa: N802 - the name is the protocol's
        self, requests: AsyncIterator[pb.UpsertRequest], context: Call
    ) -> AsyncIterator[pb.UpsertResponse]:
        """Add or replace products, each answered by itself."""
        async with aclosing(self.changes.upserts(requests, context)) as responses:
            async for response in responses:
                yield response

    async def Delete(  # noqa: N802 - the name is the protocol's
        self, request: pb.DeleteRequest, context: Call
    ) -> pb.DeleteResponse:
        """Remove products."""

        async def work(
            request_id: str, deadline: Deadline
        ) -> tuple[pb.DeleteResponse, Mapping[str, object]]:
            response = await self.changes.delete(request, request_id)
            return response, {"deleted": response.deleted_count}

        return await self._answering.answer_change(work, context)

    async def GetStatus(  # noqa: N802 - the name is the protocol's
        self,
        request: pb.GetStatusRequest,
        context: grpc.aio.ServicerContext[pb.GetStatusRequest, pb.GetStatusResponse],
    ) -> pb.GetStatusResponse:
        """Say what is being served."""
        return status_message(
            self._served,
            self.changes.feed,
            self._activity,
            self._settings,
            reads_words=self._reads(pb.SearchRequest()),
            has_reader=self._photos.reader is not None,
        )

    async def _search_in_stream(
        self, request: pb.SearchRequest, call: StreamedCall
    ) -> pb.SearchResponse:
        with self._tracing.span("streamed search"):
            return await self.Search(request, call)

    async def _products(
        self, request: pb.GetProductsRequest, request_id: str, deadline: Deadline
    ) -> tuple[pb.GetProductsResponse, Mapping[str, object]]:
        bundle = self._served.retriever.bundle  # kept to the end, even if the index is reloaded
        read = partial(products_message, bundle, request.product_ids, request_id)
        response = await self._searching.run(unshared(read), deadline)
        return response, {
            "products": len(response.products),
            "missing": len(response.missing_ids),
        }

    async def _search(
        self, request: pb.SearchRequest, request_id: str, deadline: Deadline
    ) -> tuple[pb.SearchResponse, Mapping[str, object]]:
        started = time.perf_counter_ns()
        timings = pb.Timings()
        retriever = self._served.retriever  # kept to the end, even if the index is reloaded
        bundle = retriever.bundle
        parameters = self._parameters(request)
        parameters = replace(parameters, answer_by_s=deadline.at_s)
        retriever.check(parameters)  # before a photo is described
        photos = photos_of(request, self._settings.max_image_bytes)
        if request.read_words and self._photos.reader is None:
            raise errors.QueryError("read_words", f"this server has no reader. {SERVE_A_READER}")
        words = NOT_READ
        search: Search[SearchResult]
        query_kind = request.WhichOneof("query")
        if photos:
            reads = self._reads(request)
            seen = await self._photos.see(photos, retriever, deadline, timings, reads=reads)
            words = seen.words
            both = words_beside(parameters.words, words.texts)
            kind = judged_kind(request, words, bundle, self._photos.reader)
            parameters = replace(parameters, words=both, kind=kind)
            search = retriever.searching(seen.query, parameters)
        elif query_kind is None and request.words.strip():
            search = unshared(partial(retriever.search_by_words, parameters))
        elif query_kind == "product_id":
            search = retriever.searching_similar(request.product_id, parameters)
        else:
            query = _given_descriptors(request, retriever)
            search = retriever.searching(query, parameters)
        with self._tracing.span("search"):
            answered = await self._searching.run(_answered(bundle, search), deadline)
            result = answered.result
            self._tracing.note(rank_us=result.rank_us, refine_us=result.refine_us)
        timings.rank_us, timings.refine_us = result.rank_us, result.refine_us
        timings.total_us = (time.perf_counter_ns() - started) // 1000
        durations = {field.name: value for field, value in timings.ListFields()}
        self._metrics.observe_stages(durations, self._tracing.exemplar())
        response = pb.SearchResponse(
            results=answered.results,
            initial_results=answered.initial_results,
            subset_size=result.subset_size,
            searched_count=result.searched_count,
            timings=timings,
            index_version=bundle.version,
            change_position=bundle.change_position,
            models=model_messages(bundle),
            warnings=[
                *bundle.manifest.warnings,
                *filter(None, [words.warning, unproved_warning(result.proof)]),
            ],
            request_id=request_id,
            read_lines=map(read_line_message, words.lines),
            in_catalogue_probability=result.in_catalogue_probability,
            proof=proof_message(result.proof),
        )
        return response, {"results": len(result.matches), **durations}

    def _kind(self, request: pb.SearchRequest) -> Kind:
        if request.WhichOneof("query") != "image":
            return Kind.STORED
        return Kind.READ if self._reads(request) else Kind.PHOTO

    def _reads(self, request: pb.SearchRequest) -> bool:
        """Whether to read the words on the photos of a request."""
        if self._photos.reader is None:
            return False
        if request.HasField("read_words"):
            return request.read_words
        weight = text_weight_of(request, self._served.retriever.bundle.profile)
        return self._settings.default_read_words and weight != 0

    def _parameters(self, request: pb.SearchRequest) -> SearchParameters:
        return SearchParameters(
            top_k=request.top_k or self._settings.default_top_k,
            keep=request.keep or self._settings.default_keep,
            refine=request.refine if request.HasField("refine") else True,
            alphas=dict(request.alpha),
            words=request.words,
            text_weight=request.text_weight if request.HasField("text_weight") else None,
            filter=filter_of(request),
            exclude_ids=excluded_ids_of(request),
            min_similarity=(request.min_similarity if request.HasField("min_similarity") else None),
            group_by=group_by_of(request),
        )


class _Answered(NamedTuple):
    """The result of a search, and the messages of its matches."""

    result: SearchResult
    results: list[pb.Match]
    initial_results: list[pb.Match]


def _answered(bundle: SearchedIndex, search: Search[SearchResult]) -> Search[_Answered]:
    """Search, and read what the catalogue says of the matches: both may ask a store."""
    result = yield from search
    matches = (match_messages(bundle, each) for each in (result.matches, result.initial))
    return _Answered(result, *matches)


def _given_descriptors(request: pb.SearchRequest, retriever: Retriever) -> QueryDescriptors:
    """The descriptors of a request that has neither photo nor product.

    Raises:
        QueryError: if it has none, or they are not those of the index's models.
    """
    if request.WhichOneof("query") is None:
        raise errors.QueryError("query", "set one of image, product_id, descriptors and words.")
    return retriever.check_descriptors(values_by_model(request.descriptors))
