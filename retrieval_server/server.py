"""The server process: opens the index and the engine, serves until told to stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from threadpoolctl import threadpool_limits

from retrieval_server.engines import ENGINES, Engine, create_engine
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


def _serve_command(
    index: Annotated[
        Path, typer.Option(envvar="RETRIEVAL_INDEX", help="Index folder, or one version of it.")
    ],
    model_repository: Annotated[
        Path, typer.Option(envvar="RETRIEVAL_MODEL_REPOSITORY", help="Folder with the models.")
    ] = Settings.model_repository,
    engine: Annotated[
        str, typer.Option(envvar="RETRIEVAL_ENGINE", help=f"One of: {', '.join(ENGINES)}.")
    ] = Settings.engine,
    host: Annotated[
        str, typer.Option(envvar="RETRIEVAL_HOST", help="Address; 0.0.0.0 for every interface.")
    ] = Settings.host,
    port: Annotated[
        int,
        typer.Option(envvar="RETRIEVAL_PORT", help="Port; 0 takes a free one.", min=0, max=65_535),
    ] = Settings.port,
    address_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RETRIEVAL_ADDRESS_FILE", help="Write host:port here once the server answers."
        ),
    ] = Settings.address_file,
    workers: Annotated[
        int, typer.Option(envvar="RETRIEVAL_WORKERS", help="Searches side by side.", min=1)
    ] = Settings.workers,
    max_image_bytes: Annotated[
        int, typer.Option(envvar="RETRIEVAL_MAX_IMAGE_BYTES", help="Largest image.", min=1)
    ] = Settings.max_image_bytes,
    max_concurrent_requests: Annotated[
        int,
        typer.Option(
            envvar="RETRIEVAL_MAX_CONCURRENT_REQUESTS", help="Refuse more than these.", min=1
        ),
    ] = Settings.max_concurrent_requests,
    default_top_k: Annotated[
        int, typer.Option(envvar="RETRIEVAL_DEFAULT_TOP_K", help="Results.", min=1, max=100)
    ] = Settings.default_top_k,
    default_keep: Annotated[
        int, typer.Option(envvar="RETRIEVAL_DEFAULT_KEEP", help="The paper's k.", min=1, max=100)
    ] = Settings.default_keep,
    drain_s: Annotated[
        float, typer.Option(envvar="RETRIEVAL_DRAIN_S", help="Seconds to finish in.", min=0)
    ] = Settings.drain_s,
    triton_url: Annotated[
        str, typer.Option(envvar="RETRIEVAL_TRITON_URL", help="host:port of Triton's gRPC.")
    ] = Settings.triton_url,
    triton_timeout_s: Annotated[
        float,
        typer.Option(
            envvar="RETRIEVAL_TRITON_TIMEOUT_S", help="Longest wait for Triton.", min=0.001
        ),
    ] = Settings.triton_timeout_s,
    triton_tls_ca: Annotated[
        Path | None,
        typer.Option(envvar="RETRIEVAL_TRITON_TLS_CA", help="PEM; a TLS file turns TLS on."),
    ] = Settings.triton_tls_ca,
    triton_tls_cert: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_CERT", help="PEM, for mutual TLS.")
    ] = Settings.triton_tls_cert,
    triton_tls_key: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_KEY", help="PEM, for mutual TLS.")
    ] = Settings.triton_tls_key,
    triton_access_key: Annotated[
        str | None,
        typer.Option(
            envvar="RETRIEVAL_TRITON_ACCESS_KEY",
            help="NAME=VALUE of a restricted protocol; safer in the environment.",
        ),
    ] = Settings.triton_access_key,
) -> None:
    """Serve an index over gRPC."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    settings = Settings(
        index=index,
        model_repository=model_repository,
        engine=engine,
        host=host,
        port=port,
        address_file=address_file,
        workers=workers,
        max_image_bytes=max_image_bytes,
        max_concurrent_requests=max_concurrent_requests,
        default_top_k=default_top_k,
        default_keep=default_keep,
        drain_s=drain_s,
        triton_url=triton_url,
        triton_timeout_s=triton_timeout_s,
        triton_tls_ca=triton_tls_ca,
        triton_tls_cert=triton_tls_cert,
        triton_tls_key=triton_tls_key,
        triton_access_key=triton_access_key,
    )
    try:
        asyncio.run(serve(settings))
    except RetrievalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def main() -> None:
    """Run the command ``beauty-server``."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog="Example: beauty-server --index build/demo/index --port 50051")(
        _serve_command
    )
    app()
