"""The server process: opens the index and the engine, serves until told to stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from threadpoolctl import threadpool_limits

from retrieval_server.engines import Engine, create_engine
from retrieval_server.errors import RetrievalError
from retrieval_server.index_bundle import open_index
from retrieval_server.model_repository import ModelRepository
from retrieval_server.readiness import Readiness
from retrieval_server.retriever import Retriever
from retrieval_server.service import RetrievalService
from retrieval_server.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["RetrievalService"].full_name
REQUEST_OVERHEAD_BYTES = 2**20  # what a SearchRequest holds beside the image
OTHER_CALLS = 64  # health checks, watches and GetStatus, answered while the server is full


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        address: ``host:port``, with the port it really has.
    """

    address: str
    _server: grpc.aio.Server
    _health: health.aio.HealthServicer
    _readiness: Readiness
    _engine: Engine
    _executor: ThreadPoolExecutor

    async def stop(self, drain_s: float) -> None:
        """Report NOT_SERVING, let the requests in progress finish, close the engine."""
        await self._readiness.stop()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(drain_s)
        await self._engine.close()
        self._executor.shutdown()


async def start_server(settings: Settings) -> RunningServer:
    """Open the index and the models and start to answer.

    Raises:
        RetrievalError: if the index or a model cannot be used, they do not belong together, or
            the address is taken.
    """
    bundle = open_index(settings.index)
    repository = ModelRepository(settings.model_repository)
    members = repository.ensemble(bundle.profile.name)
    bundle.require_models({member.name: member.digest for member in members})
    server = grpc.aio.server(
        maximum_concurrent_rpcs=settings.max_concurrent_requests + OTHER_CALLS,
        options=[
            ("grpc.max_receive_message_length", settings.max_image_bytes + REQUEST_OVERHEAD_BYTES),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),  # clients ping at 60 s
            ("grpc.so_reuseport", 0),  # so that a port in use is an error
        ],
    )
    address = _bind(server, settings)
    engine = create_engine(
        settings.engine,
        settings.model_repository,
        bundle.profile.name,
        workers=settings.workers,
        threads_per_run=settings.workers,
        triton=settings.triton,
    )
    threadpool_limits(1, user_api="blas")  # one core for each search; see Settings.workers
    executor = create_workers(settings.workers)
    retriever = Retriever(bundle, engine)
    retriever.warm_up()
    await retriever.check_engine()
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    pb_grpc.add_RetrievalServiceServicer_to_server(  # type: ignore[no-untyped-call]
        RetrievalService(retriever, executor, settings), server
    )
    reflection.enable_server_reflection(
        (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    await server.start()
    readiness = Readiness(retriever, health_servicer, SERVICE)
    await readiness.start()
    for warning in bundle.manifest.warnings:
        log.warning(warning)
    log.info("serving %s (%s products) on %s", bundle.version, f"{len(bundle):,}", address)
    return RunningServer(address, server, health_servicer, readiness, engine, executor)


def create_workers(workers: int) -> ThreadPoolExecutor:
    """Threads for decoding and search, each on a core of its own where there are enough.

    Left to the scheduler, two searches that start at once often share a core for a millisecond or
    two, which is a good part of what they take.

    Args:
        workers: how many.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    numbers = itertools.count()  # next() on it is atomic

    def pin() -> None:
        if workers <= len(cores):
            os.sched_setaffinity(0, {cores[next(numbers) % len(cores)]})

    return ThreadPoolExecutor(workers, thread_name_prefix="search", initializer=pin)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        RetrievalError: if the server cannot start.
    """
    running = await start_server(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        if settings.address_file is not None:
            _write_address(settings.address_file, running.address)
        await stop.wait()
        log.info("stopping: up to %g s for the requests in progress", settings.drain_s)
    finally:
        await running.stop(settings.drain_s)


def _write_address(path: Path, address: str) -> None:
    """Write the file at once, whole."""
    scratch = path.with_name(f".{path.name}")
    try:
        scratch.write_text(address + "\n", encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise RetrievalError(
            f"Cannot write {path}: {error.strerror}. Choose another --address-file."
        ) from error


def _bind(server: grpc.aio.Server, settings: Settings) -> str:
    is_bare_ipv6 = ":" in settings.host and not settings.host.startswith("[")
    host = f"[{settings.host}]" if is_bare_ipv6 else settings.host
    wanted = f"{host}:{settings.port}"
    try:
        port = server.add_insecure_port(wanted)
    except RuntimeError as error:
        raise RetrievalError(
            f"Cannot listen on {wanted}: the port is in use or not allowed, or the host is not of "
            "this machine. Choose another --port (0 takes a free one) or --host."
        ) from error
    return f"{host}:{port}"
