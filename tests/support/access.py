"""Calls of a server with access control, and files that are replaced at once."""

import socket
import ssl
from pathlib import Path

import pytest

from client import Access, DeadlineExceededError, RetrievalClient
from client import RetrievalError as ClientError
from tests.support.patience import PATIENCE_S, growing_deadlines
from tests.support.served import Served

FIRST, SECOND = "first-token-0123456789", "second-token-0123456789"


def status(served: Served, **access: Path) -> str:
    with RetrievalClient(served.address, timeout_s=PATIENCE_S, access=Access(**access)) as client:
        return client.status().profile


def unreachable(served: Served, **access: Path) -> str:
    """Why the client got no answer; soon, since nothing has to be waited for."""
    for timeout_s in growing_deadlines(2.0):
        with (
            RetrievalClient(served.address, timeout_s=timeout_s, access=Access(**access)) as client,
            pytest.raises(ClientError) as caught,
        ):
            client.status()
        if not isinstance(caught.value, DeadlineExceededError):
            break
    return str(caught.value)


def shown_certificate(address: str) -> bytes | None:
    """The certificate that a gRPC server shows to a new connection, in DER."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), PATIENCE_S) as connection,
        context.wrap_socket(connection) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def replace(path: Path, content: bytes) -> None:
    """As Kubernetes does it: the new file takes the place of the old one at once."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(content)
    scratch.replace(path)
