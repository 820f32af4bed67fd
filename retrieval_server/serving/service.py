"""The gRPC service: checks a request, calls the retriever, translates results and errors."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import NoReturn

import grpc
import numpy as np

from retrieval_server import errors
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import QueryDescriptors, SearchParameters
from retrieval_server.retrieval.search_result import SearchResult
from retrieval_server.serving.messages import limits_message, match_messages, model_messages
from retrieval_server.serving.served_index import ServedIndex
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from retrieval_server.version import VERSION

log = logging.getLogger(__name__)

STATUS_OF_ERROR: dict[type[errors.RetrievalError], grpc.StatusCode] = {
    errors.UnknownProductError: grpc.StatusCode.NOT_FOUND,
    errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.EngineUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.EngineDeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    # Triton serves other models than the index's, or none: another replica may be right
    errors.ModelMismatchError: grpc.StatusCode.UNAVAILABLE,
    errors.ModelRepositoryError: grpc.StatusCode.UNAVAILABLE,
    errors.RetrievalError: grpc.StatusCode.INTERNAL,
}

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
        settings: the server's.
        metrics: counts searches that are refused or fail, and times their stages.
        tracing: records the stages of a search as spans.
    """

    def __init__(
        self,
        served: ServedIndex,
        executor: Executor,
        settings: Settings,
        metrics: ServerMetrics,
        tracing: Tracing,
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._served = served
        self._executor = executor
        self._settings = settings
        self._in_progress = 0

    async def Search(  # noqa: N802 - the name is the protocol's
        self, request: pb.SearchRequest, context: Context
    ) -> pb.SearchResponse:
        """Find the products that match a query."""
        request_id = uuid.uuid4().hex[:16]
        context.set_trailing_metadata((("request-id", request_id),))
        self._tracing.note(request_id=request_id)
        limit = self._settings.max_concurrent_requests
        if self._in_progress >= limit:
            self._metrics.shed.inc()
            status = grpc.StatusCode.RESOURCE_EXHAUSTED
            _log(request_id, status)
            await _abort(context, status, f"The server is full: {limit} requests in progress.")
        self._in_progress += 1
        try:
            return await self._answer(
                request_id, context, partial(self._search, request, request_id, context)
            )
        finally:
            self._in_progress -= 1

    async def GetStatus(  # noqa: N802 - the name is the protocol's
        self,
        request: pb.GetStatusRequest,
        context: grpc.aio.ServicerContext[pb.GetStatusRequest, pb.GetStatusResponse],
    ) -> pb.GetStatusResponse:
        """Say what is being served."""
        retriever = self._served.retriever
        bundle = retriever.bundle
        manifest = bundle.manifest
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
        )

    async def _answer(
        self,
        request_id: str,
        context: Context,
        search: Callable[[], Awaitable[pb.SearchResponse]],
    ) -> pb.SearchResponse:
        """Run a search, log it, and translate errors: ours to their status, others to INTERNAL."""
        try:
            response = await search()
        except errors.RetrievalError as error:
            self._metrics.count_failure(error)
            status, message = status_of(error), str(error)
            if len(message) > LONGEST_MESSAGE:  # it may quote a long request
                message = message[:LONGEST_MESSAGE] + " …"
            _log(request_id, status, message=message)
            await _abort(context, status, message)
        except Exception:
            log.exception("request %s failed", request_id)
            status = grpc.StatusCode.INTERNAL
            _log(request_id, status)
            await _abort(context, status, f"Internal error; the log has request {request_id}.")
        timings = {field.name: value for field, value in response.timings.ListFields()}
        self._metrics.observe_stages(timings)
        _log(request_id, grpc.StatusCode.OK, results=len(response.results), **timings)
        return response

    async def _search(
        self, request: pb.SearchRequest, request_id: str, context: Context
    ) -> pb.SearchResponse:
        started = time.perf_counter_ns()
        timings = pb.Timings()
        retriever = self._served.retriever  # kept to the end, even if the index is reloaded
        bundle = retriever.bundle
        parameters = self._parameters(request)
        search: partial[SearchResult]
        if request.WhichOneof("query") == "product_id":
            search = partial(retriever.similar_to, request.product_id, parameters)
        else:
            query = await self._query(retriever, request, timings, context)
            search = partial(retriever.search, query, parameters)
        with self._tracing.span("search"):
            result = await asyncio.get_running_loop().run_in_executor(self._executor, search)
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
            warnings=bundle.manifest.warnings,
            request_id=request_id,
        )

    async def _query(
        self,
        retriever: Retriever,
        request: pb.SearchRequest,
        timings: pb.Timings,
        context: Context,
    ) -> QueryDescriptors:
        """Get the descriptors to search with, and note in ``timings`` how long that took."""
        kind = request.WhichOneof("query")
        if kind == "descriptors":
            return retriever.check_descriptors(
                {
                    model: np.array(descriptor.values, dtype=np.float32)
                    for model, descriptor in request.descriptors.by_model.items()
                }
            )
        if kind != "image":
            raise errors.QueryError("query", "set one of image, product_id and descriptors.")
        if len(request.image) > self._settings.max_image_bytes:
            raise errors.ImageError(
                f"has {len(request.image):,} bytes; at most {self._settings.max_image_bytes:,} "
                "are accepted."
            )
        started = time.perf_counter_ns()
        with self._tracing.span("decode"):
            pixels = await asyncio.get_running_loop().run_in_executor(
                self._executor, decode_image, request.image, retriever.bundle.profile.side
            )
        decoded = time.perf_counter_ns()
        with self._tracing.span("encode"):
            query = await retriever.encode(pixels, context.time_remaining())
        timings.decode_us = (decoded - started) // 1000
        timings.encode_us = (time.perf_counter_ns() - decoded) // 1000
        return query

    def _parameters(self, request: pb.SearchRequest) -> SearchParameters:
        return SearchParameters(
            top_k=request.top_k or self._settings.default_top_k,
            keep=request.keep or self._settings.default_keep,
            refine=request.refine if request.HasField("refine") else True,
            alphas=dict(request.alpha),
        )


async def _abort(context: Context, status: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(status, message)
    raise AssertionError("abort raises")


def _log(request_id: str, status: grpc.StatusCode, **fields: object) -> None:
    """Log one request as one JSON object."""
    log.info(json.dumps({"request_id": request_id, "status": status.name, **fields}))
