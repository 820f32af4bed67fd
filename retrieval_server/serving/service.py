"""The gRPC service: checks a request, calls the retriever, translates results and errors."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import NoReturn

import grpc
import numpy as np

from retrieval_server import errors
from retrieval_server.models.reader import EXPORT_READER
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.reading.reader import Reader
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import (
    DEFAULT_TEXT_WEIGHT,
    QueryDescriptors,
    SearchParameters,
)
from retrieval_server.retrieval.search_result import SearchResult
from retrieval_server.serving.admission import Admission, Kind
from retrieval_server.serving.arrivals import Arrivals
from retrieval_server.serving.deadline import Deadline
from retrieval_server.serving.judged_queries import judged_kind
from retrieval_server.serving.messages import (
    calibration_message,
    limits_message,
    match_messages,
    model_messages,
    read_line_message,
    retry_metadata,
)
from retrieval_server.serving.photo_words import NOT_READ
from retrieval_server.serving.photos import PhotoStages, photos_of
from retrieval_server.serving.request_log import RequestLog
from retrieval_server.serving.served_index import ServedIndex
from retrieval_server.serving.settings import Settings
from retrieval_server.serving.workers import Workers
from retrieval_server.text.word_search import MAX_WORDS_CHARACTERS
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from retrieval_server.version import VERSION

log = logging.getLogger(__name__)

STATUS_OF_ERROR: dict[type[errors.RetrievalError], grpc.StatusCode] = {
    errors.UnknownProductError: grpc.StatusCode.NOT_FOUND,
    errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.EngineUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.EngineDeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.LateError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # Triton serves other models than the index's, or none: another replica may be right
    errors.ModelMismatchError: grpc.StatusCode.UNAVAILABLE,
    errors.ModelRepositoryError: grpc.StatusCode.UNAVAILABLE,
    errors.RetrievalError: grpc.StatusCode.INTERNAL,
}

SERVE_A_READER = (
    f"Build the index with a profile that names one, and serve its models: {EXPORT_READER}"
)
LONGEST_MESSAGE = 500  # characters; a status travels in HTTP/2 headers, which hold 8 KiB

Context = grpc.aio.ServicerContext[pb.SearchRequest, pb.SearchResponse]


def status_of(error: errors.RetrievalError) -> grpc.StatusCode:
    """The status a caller sees: that of the error's nearest class in ``STATUS_OF_ERROR``."""
    return next(STATUS_OF_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERROR)


class RetrievalService(pb_grpc.RetrievalServiceServicer):
    """Answers ``Search`` and ``GetStatus``.

    Args:
        served: holds the index to search.
        executor: runs decoding and ranking, so that the event loop stays free.
        reader: reads the words on photos; None reads nothing.
        admission: refuses the searches that cannot be answered in time.
        settings: the server's.
        metrics: counts searches that are refused or fail, and times their stages.
        tracing: records the stages of a search as spans.
    """

    def __init__(
        self,
        served: ServedIndex,
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
        self._workers = Workers(executor)
        self._photos = PhotoStages(self._workers, tracing, reader)
        self._settings = settings
        self._admission = admission
        self._arrivals = Arrivals(executor, settings.workers)
        self._log = RequestLog()

    async def Search(  # noqa: N802 - the name is the protocol's
        self, request: pb.SearchRequest, context: Context
    ) -> pb.SearchResponse:
        """Find the products that match a query."""
        request_id = f"{random.getrandbits(64):016x}"
        self._tracing.note(request_id=request_id)
        kind = self._kind(request)
        if kind is Kind.STORED:
            self._arrivals.note()
        deadline = Deadline.after(context.time_remaining())
        size = 1 + len(request.more_images)
        try:
            with self._admission.admitted(kind, deadline.remaining_s, size):
                context.set_trailing_metadata((("request-id", request_id),))
                return await self._answer(request, request_id, deadline, context)
        except errors.OverloadedError as error:
            self._metrics.shed.labels(error.cause).inc()
            self._log.refused(error.cause)
            metadata = (
                ("request-id", request_id),
                *retry_metadata(str(error), error.retry_after_s),
            )
            await context.abort(status_of(error), str(error), metadata)
            raise AssertionError("abort raises") from error

    async def GetStatus(  # noqa: N802 - the name is the protocol's
        self,
        request: pb.GetStatusRequest,
        context: grpc.aio.ServicerContext[pb.GetStatusRequest, pb.GetStatusResponse],
    ) -> pb.GetStatusResponse:
        """Say what is being served."""
        retriever = self._served.retriever
        bundle = retriever.bundle
        manifest = bundle.manifest
        has_reader = self._photos.reader is not None
        first = bundle.product(0)  # of products with the same image, the first is ranked first
        return pb.GetStatusResponse(
            server_version=VERSION,
            engine=retriever.engine.name,
            index_version=bundle.version,
            profile=bundle.profile.name,
            product_count=len(bundle),
            models=model_messages(bundle),
            text_index=pb.TextIndex(
                document_count=manifest.documents,
                pair_count=manifest.text_pairs,
                threshold=manifest.text["threshold"],
            ),
            default_top_k=self._settings.default_top_k,
            default_keep=self._settings.default_keep,
            warnings=[*manifest.warnings, *manifest.text_warnings, *self._served.warnings],
            search_levels=[
                pb.SearchLevel(name=level.name, bytes=level.bytes, resident=level.is_resident)
                for level in retriever.search_levels
            ],
            example=pb.Example(product_id=first.product_id, image=first.image),
            limits=limits_message(self._settings),
            default_text_weight=DEFAULT_TEXT_WEIGHT,
            default_read_words=has_reader and self._settings.default_read_words,
            reader=(bundle.profile.reader or "") if has_reader else "",
            calibration=calibration_message(bundle.calibration),
        )

    async def _answer(
        self, request: pb.SearchRequest, request_id: str, deadline: Deadline, context: Context
    ) -> pb.SearchResponse:
        """Run a search, log it, and translate errors: ours to their status, others to INTERNAL."""
        try:
            response = await self._search(request, request_id, deadline)
        except errors.RetrievalError as error:
            self._metrics.count_failure(error)
            status, message = status_of(error), str(error)
            if len(message) > LONGEST_MESSAGE:  # it may quote a long request
                message = message[:LONGEST_MESSAGE] + " …"
            self._log.answered(request_id, status, message=message)
            await _abort(context, status, message)
        except Exception:
            log.exception("request %s failed", request_id)
            status = grpc.StatusCode.INTERNAL
            self._log.answered(request_id, status)
            await _abort(context, status, f"Internal error; the log has request {request_id}.")
        timings = {field.name: value for field, value in response.timings.ListFields()}
        self._metrics.observe_stages(timings)
        self._log.answered(request_id, grpc.StatusCode.OK, results=len(response.results), **timings)
        return response

    async def _search(
        self, request: pb.SearchRequest, request_id: str, deadline: Deadline
    ) -> pb.SearchResponse:
        started = time.perf_counter_ns()
        timings = pb.Timings()
        retriever = self._served.retriever  # kept to the end, even if the index is reloaded
        bundle = retriever.bundle
        parameters = self._parameters(request)
        photos = photos_of(request, self._settings.max_image_bytes)
        if request.read_words and self._photos.reader is None:
            raise errors.QueryError("read_words", f"this server has no reader. {SERVE_A_READER}")
        words = NOT_READ
        search: partial[SearchResult]
        query_kind = request.WhichOneof("query")
        if photos:
            reads = self._reads(request)
            seen = await self._photos.see(photos, retriever, deadline, timings, reads=reads)
            words = seen.words
            both = words.beside(parameters.words, MAX_WORDS_CHARACTERS)
            kind = judged_kind(request, words, bundle.calibration, self._photos.reader)
            parameters = replace(parameters, words=both, kind=kind)
            search = partial(retriever.search, seen.query, parameters)
        elif query_kind is None and request.words.strip():
            search = partial(retriever.search_by_words, parameters)
        elif query_kind == "product_id":
            search = partial(retriever.similar_to, request.product_id, parameters)
        else:
            query = _given_descriptors(request, retriever)
            search = partial(retriever.search, query, parameters)
        with self._tracing.span("search"):
            result = await self._workers.run(search, deadline)
            self._tracing.note(rank_us=result.rank_us, refine_us=result.refine_us)
        timings.rank_us, timings.refine_us = result.rank_us, result.refine_us
        timings.total_us = (time.perf_counter_ns() - started) // 1000
        return pb.SearchResponse(
            results=match_messages(bundle, result.matches),
            initial_results=match_messages(bundle, result.initial),
            subset_size=result.subset_size,
            timings=timings,
            index_version=bundle.version,
            models=model_messages(bundle),
            warnings=[*bundle.manifest.warnings, *filter(None, [words.warning])],
            request_id=request_id,
            read_lines=map(read_line_message, words.lines),
            in_catalogue_probability=result.in_catalogue_probability,
        )

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
        is_weightless = request.HasField("text_weight") and request.text_weight == 0
        return self._settings.default_read_words and not is_weightless

    def _parameters(self, request: pb.SearchRequest) -> SearchParameters:
        return SearchParameters(
            top_k=request.top_k or self._settings.default_top_k,
            keep=request.keep or self._settings.default_keep,
            refine=request.refine if request.HasField("refine") else True,
            alphas=dict(request.alpha),
            words=request.words,
            text_weight=(
                request.text_weight if request.HasField("text_weight") else DEFAULT_TEXT_WEIGHT
            ),
        )


def _given_descriptors(request: pb.SearchRequest, retriever: Retriever) -> QueryDescriptors:
    """The descriptors of a request that has neither photo nor product.

    Raises:
        QueryError: if it has none, or they are not those of the index's models.
    """
    if request.WhichOneof("query") is None:
        raise errors.QueryError("query", "set one of image, product_id, descriptors and words.")
    return retriever.check_descriptors(
        {
            model: np.array(descriptor.values, dtype=np.float32)
            for model, descriptor in request.descriptors.by_model.items()
        }
    )


async def _abort(context: Context, status: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(status, message)
    raise AssertionError("abort raises")
