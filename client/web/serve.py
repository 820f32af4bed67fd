"""Runs the page on a port of this machine."""

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from client.errors import RetrievalError, UnreadableFileError
from client.retrieval_client import RetrievalClient
from client.web.app import web_app

_SHUTDOWN_S = 2  # for answers under way when the page is stopped


def serve(
    client: RetrievalClient,
    *,
    host: str,
    port: int,
    catalogue: Path | None,
    allowed_hosts: Collection[str],
    on_ready: Callable[[str, bool], None],
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    The host may be another than loopback, since a phone's camera is on another machine;
    ``on_ready`` is told, so that the caller can warn.

    Args:
        client: a client of the search server.
        host: name or address to listen on.
        port: 0 takes a free one.
        catalogue: folder of the pictures, if any.
        allowed_hosts: see ``guard.Guard``.
        on_ready: called once it listens, with the page's URL and whether only this machine reaches
            it.

    Raises:
        RetrievalError: if the port cannot be had, or the catalogue is no folder.
    """
    if catalogue is not None and not catalogue.is_dir():
        raise UnreadableFileError(f"{catalogue} is not a folder. Name the catalogue's folder.")
    config = uvicorn.Config(
        web_app(client, catalogue, allowed_hosts),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    # uvicorn stops at either signal, then raises it again as it found it handled.
    signal.signal(signal.SIGTERM, _interrupt)
    with _listener(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        server = _Server(config, partial(on_ready, _url(listener), _is_loopback(listener)))
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Calls back when it answers; from then on a signal stops it gracefully."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and call back."""
        await super().startup(sockets)
        self._on_ready()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RetrievalError(
            f"Cannot listen on {host}, port {port}: {reason}. "
            "Choose another --port (0 takes a free one), or a --host of this machine."
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
