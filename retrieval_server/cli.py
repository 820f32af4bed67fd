"""The command ``beauty-server``: every setting as an option and as an environment variable."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from retrieval_server.engines.engine import ENGINES
from retrieval_server.errors import RetrievalError
from retrieval_server.serving.server import serve
from retrieval_server.serving.settings import Settings


def serve_command(
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
    health_port: Annotated[
        int | None,
        typer.Option(
            envvar="RETRIEVAL_HEALTH_PORT",
            help="Port for health alone, without TLS; 0 takes a free one.",
            min=0,
            max=65_535,
            show_default="none",
        ),
    ] = Settings.health_port,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="RETRIEVAL_METRICS_PORT",
            help="Port for Prometheus; 0 takes a free one.",
            min=0,
            max=65_535,
            show_default="none",
        ),
    ] = Settings.metrics_port,
    tls_cert: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TLS_CERT", help="PEM; turns TLS on.")
    ] = Settings.tls_cert,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TLS_KEY", help="PEM, of --tls-cert.")
    ] = Settings.tls_key,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="RETRIEVAL_TLS_CLIENT_CA", help="PEM; demands certificates of the clients."
        ),
    ] = Settings.tls_client_ca,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RETRIEVAL_TOKEN_FILE", help="Demands one of its tokens with each request."
        ),
    ] = Settings.token_file,
    max_connection_age_s: Annotated[
        float,
        typer.Option(
            envvar="RETRIEVAL_MAX_CONNECTION_AGE_S",
            help="Let clients connect anew after so long; 0 for never.",
            min=0,
        ),
    ] = Settings.max_connection_age_s,
    reload_every_s: Annotated[
        float,
        typer.Option(
            envvar="RETRIEVAL_RELOAD_EVERY_S",
            help="Look so often for a rebuilt index; 0 for never.",
            min=0,
        ),
    ] = Settings.reload_every_s,
    address_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RETRIEVAL_ADDRESS_FILE", help="Write host:port here once the server answers."
        ),
    ] = Settings.address_file,
    workers: Annotated[
        int,
        typer.Option(
            envvar="RETRIEVAL_WORKERS", help="Searches side by side; a lone one is spread.", min=1
        ),
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
    drain_delay_s: Annotated[
        float,
        typer.Option(
            envvar="RETRIEVAL_DRAIN_DELAY_S",
            help="Seconds to serve on after NOT_SERVING is reported.",
            min=0,
        ),
    ] = Settings.drain_delay_s,
    drain_s: Annotated[
        float,
        typer.Option(envvar="RETRIEVAL_DRAIN_S", help="Seconds to finish in after that.", min=0),
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
        health_port=health_port,
        metrics_port=metrics_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        token_file=token_file,
        max_connection_age_s=max_connection_age_s,
        reload_every_s=reload_every_s,
        address_file=address_file,
        workers=workers,
        max_image_bytes=max_image_bytes,
        max_concurrent_requests=max_concurrent_requests,
        default_top_k=default_top_k,
        default_keep=default_keep,
        drain_delay_s=drain_delay_s,
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
        serve_command
    )
    app()
