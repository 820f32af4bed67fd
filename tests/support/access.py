"""Calls of a server with access control, and files that are replaced at once."""

from pathlib import Path

import pytest

from client import Access, RetrievalClient
from client import RetrievalError as ClientError
from tests.support.patience import PATIENCE_S
from tests.support.served import Served

FIRST, SECOND = "first-token-0123456789", "second-token-0123456789"


def status(served: Served, **access: Path) -> str:
    with RetrievalClient(served.address, timeout_s=PATIENCE_S, access=Access(**access)) as client:
        return client.status().profile


def unreachable(served: Served, **access: Path) -> str:
    """Why the client got no answer; soon, since nothing has to be waited for."""
    with (
        RetrievalClient(served.address, timeout_s=2.0, access=Access(**access)) as client,
        pytest.raises(ClientError) as caught,
    ):
        client.status()
    return str(caught.value)


def replace(path: Path, content: bytes) -> None:
    """As Kubernetes does it: the new file takes the place of the old one at once."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(content)
    scratch.replace(path)
