"""The server process: opens the index and the engine, and serves until a signal stops it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from threadpoolctl import threadpool_limits

from retrieval_server.access.bearer_tokens import CHANGE, SEARCH, BearerTokens
from retrieval_server.access.caller_names import CallerNames
from retrieval_server.command_line.output_file import check_output, write_output
from retrieval_server.cores import create_workers
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.reader import READER_MODELS, can_read
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.metrics_endpoint import MetricsEndpoint, open_metrics_endpoint
from retrieval_server.observability.request_metrics import RequestMetrics
from retrieval_server.observability.tracing import Tracing, start_tracing
from retrieval_server.reading.reader import Reader, compile_reader, open_reader
from retrieval_server.retrieval.open_retriever import open_retriever
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.serving.admission.admission import Admission, Kind
from retrieval_server.serving.calls.service import RetrievalService
from retrieval_server.serving.certificate_metrics import CertificateState, certificates_of
from retrieval_server.serving.check_health import SERVICE
from retrieval_server.serving.grpc_endpoint import create_grpc_server, listen, listen_in_the_clear
from retrieval_server.serving.served.change_feed import FOLLOW_EVERY_S, ChangeFeed
from retrieval_server.serving.served.compaction import Compaction
from retrieval_server.serving.served.index_source import IndexSource, source_of
from retrieval_server.serving.served.index_watch import IndexWatch
from retrieval_server.serving.served.readiness import Readiness
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.serving.served.served_state import ServedState
from retrieval_server.serving.settings import Settings
from retrieval_server.serving.well_formed import WellFormedRequests
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

RIGHTS = {  # that a token needs, by method; any token may ask for the status
    "Search": SEARCH,
    "SearchStream": SEARCH,
    "GetProducts": SEARCH,
    "Upsert": CHANGE,
    "Delete": CHANGE,
}


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        address: ``host:port``; the port is the one that was taken if the settings say 0.
        health_address: that of the port for health checks only, if there is one.
        index_watch: reloads the index.
        compaction: takes changes into the next version.
    """

    address: str
    health_address: str | None
    index_watch: IndexWatch
    compaction: Compaction
    _service: RetrievalService
    _server: grpc.aio.Server
    _health_server: grpc.aio.Server
    _health: health.aio.HealthServicer
    _readiness: Readiness
    _metrics: MetricsEndpoint | None
    _tracing: Tracing
    _engine: Engine
    _executor: ThreadPoolExecutor
    _source: IndexSource

    @property
    def metrics_address(self) -> str | None:
        """``host:port`` of the metrics, if there is one."""
        return None if self._metrics is None else self._metrics.address

    async def stop(self, drain_s: float, delay_s: float = 0.0) -> None:
        """Report NOT_SERVING, let the requests in progress finish, close the engine.

        Args:
            drain_s: seconds that the requests in progress get to finish.
            delay_s: seconds before that in which new requests are still accepted, while clients
                learn of the stop.
        """
        await self.compaction.polling.stop()
        await self.index_watch.polling.stop()
        await self._service.changes.feed.polling.stop()
        await self._readiness.stop()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(delay_s)
        self._service.stop_streams()
        await self._server.stop(drain_s)
        await self._health_server.stop(0)
        await self._service.changes.close()
        await self._engine.close()
        self._executor.shutdown()
        await asyncio.to_thread(self._source.close)
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
        await asyncio.to_thread(self._tracing.close)


async def start_server(settings: Settings) -> RunningServer:
    """Open the index and the models, and start to answer requests.

    Raises:
        RetrievalError: if the index or a model cannot be used, they do not belong together, the
            address is taken, or traces are wanted without OpenTelemetry.
    """
    source = source_of(settings)
    bundle = source.open()
    repository = ModelRepository(settings.model_repository)
    metrics, tracing = ServerMetrics(), start_tracing()
    server = create_grpc_server(
        settings, [*tracing.interceptors, *_interceptors(settings, metrics, tracing)]
    )
    address = listen(server, settings)
    health_server, health_address = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), None
    if settings.health_port is not None:
        health_address = listen_in_the_clear(health_server, settings.host, settings.health_port)
    executor = create_workers(settings.workers)
    served = ServedIndex(await _open_retriever(settings, bundle, repository))
    admission = _admission(settings, metrics)
    reader = await _open_reader(served.retriever, repository, executor)
    feed = ChangeFeed(served, is_writable=settings.writable, root=source.root())
    await feed.serve(served.retriever)
    service = RetrievalService(
        served, feed, executor, reader, admission, settings, metrics, tracing
    )
    await asyncio.to_thread(service.changes.warm_up)
    await feed.take_over()
    health_servicer = _add_services(server, health_server, service)
    readiness = Readiness(served, health_servicer, SERVICE)
    index_watch = IndexWatch(source, repository, served, feed, metrics)
    compaction = Compaction(served, feed, source.root(), settings, metrics)
    metrics.registry.register(ServedState(served, feed, readiness))
    if certificates := certificates_of(settings):
        metrics.registry.register(CertificateState(certificates))
    metrics_endpoint = _metrics_endpoint(settings, metrics)
    await server.start()
    await health_server.start()
    await readiness.start()
    feed.polling.start(FOLLOW_EVERY_S)
    if settings.reload_every_s > 0:
        index_watch.polling.start(settings.reload_every_s)
    compaction.start()
    for warning in bundle.manifest.warnings:
        log.warning(warning)
    now = served.retriever.bundle
    log.info("serving %s (%s products) on %s", now.version, f"{len(now):,}", address)
    return RunningServer(
        address,
        health_address,
        index_watch,
        compaction,
        service,
        server,
        health_server,
        health_servicer,
        readiness,
        metrics_endpoint,
        tracing,
        served.retriever.engine,
        executor,
        source,
    )


async def _open_retriever(
    settings: Settings, bundle: SearchedIndex, repository: ModelRepository
) -> Retriever:
    """Open the index for searching, with one core for each search; see ``Settings.workers``."""
    threadpool_limits(1, user_api="blas")
    open_engine = partial(
        create_engine,
        settings.engine,
        settings.model_repository,
        bundle.profile.name,
        workers=settings.workers,
        threads_per_image=settings.workers,
        triton=settings.triton,
        further_models=READER_MODELS if can_read(bundle.profile, repository) else (),
    )
    parallelism = IntraQueryParallelism(settings.workers)
    return await open_retriever(bundle, repository, open_engine, parallelism)


async def _open_reader(
    retriever: Retriever, repository: ModelRepository, executor: Executor
) -> Reader | None:
    if not can_read(retriever.bundle.profile, repository):
        return None
    await asyncio.to_thread(compile_reader)
    return open_reader(repository, retriever.engine, executor)


def _add_services(
    server: grpc.aio.Server, health_server: grpc.aio.Server, service: RetrievalService
) -> health.aio.HealthServicer:
    """Register search, reflection and health; health also on the server for health checks only."""
    servicer = health.aio.HealthServicer()
    for each in (server, health_server):
        health_pb2_grpc.add_HealthServicer_to_server(servicer, each)
    pb_grpc.add_RetrievalServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return servicer


def _interceptors(
    settings: Settings, metrics: ServerMetrics, tracing: Tracing
) -> list[grpc.aio.ServerInterceptor]:
    measured, well_formed = RequestMetrics(metrics, tracing), WellFormedRequests()
    if settings.writable and settings.token_file is None and settings.tls_client_ca is None:
        log.warning(
            "--writable without --token-file: who reaches the port can change the catalogue"
        )
    if settings.token_file is None:
        return [measured, well_formed, CallerNames()]
    if settings.tls is None:
        log.warning("--token-file without --tls-cert: tokens are sent unencrypted")
    needed = {f"/{SERVICE}/{method}": right for method, right in RIGHTS.items()}
    return [measured, well_formed, BearerTokens(settings.token_file, needed), CallerNames()]


def _admission(settings: Settings, metrics: ServerMetrics) -> Admission:
    """What admits the searches; its expectations and refusals are metrics."""
    admission = Admission(
        max_searches=settings.max_concurrent_requests,
        longest_wait_s=settings.longest_wait_s,
        workers=settings.workers,
    )
    metrics.limit.set(settings.max_concurrent_requests)
    for kind in Kind:
        metrics.expected.labels(kind.value).set_function(partial(admission.length_s, kind))
    return admission


def _metrics_endpoint(settings: Settings, metrics: ServerMetrics) -> MetricsEndpoint | None:
    if settings.metrics_port is None:
        return None
    endpoint = open_metrics_endpoint(metrics.registry, settings.host, settings.metrics_port)
    log.info("metrics on http://%s/metrics", endpoint.address)
    return endpoint


def _spare_the_collector() -> None:
    """Take what the server consists of out of later garbage collections.

    One in some thousand requests would halt every thread for tens of milliseconds, to go through
    140,000 objects that stay. An index that is replaced needs no collection: nothing in it refers
    back to it.
    """
    gc.collect()
    gc.freeze()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        RetrievalError: if the server cannot start.
        OutputError: if the file for its address cannot be written.
    """
    if settings.address_file is not None:
        check_output(settings.address_file)
    running = await start_server(settings)
    _spare_the_collector()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        if settings.address_file is not None:
            # A FIFO waits for its reader.
            await asyncio.to_thread(write_output, settings.address_file, f"{running.address}\n")
        await stop.wait()
        log.info(
            "stopping: %g s for clients to learn of it, up to %g s for the requests in progress",
            settings.drain_delay_s,
            settings.drain_s,
        )
    finally:
        await running.stop(settings.drain_s, settings.drain_delay_s)
