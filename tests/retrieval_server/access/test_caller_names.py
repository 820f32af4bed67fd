"""The log of requests names who calls, and no secret."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.access import FIRST, SECOND
from tests.support.patience import PATIENCE_S
from tests.support.raw_stream import RawStream
from tests.support.served import Served, ServedBy

Callers = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def callers(caplog: pytest.LogCaptureFixture) -> Callers:
    """Caller and method of each line of the log so far."""
    caplog.set_level(logging.INFO)

    def read() -> list[tuple[str, str]]:
        records = [each for each in caplog.records if each.name.endswith(".request_log")]
        told = [json.loads(record.getMessage()) for record in records]
        assert FIRST not in caplog.text
        return [(str(each["caller"]), str(each["method"])) for each in told]

    return read


def bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def similar(served: Served, token: str) -> None:
    request = pb.SearchRequest(product_id="p0000")
    served.stub.Search(request, timeout=PATIENCE_S, metadata=bearing(token))


def named(token: str) -> str:
    return f"token {hashlib.sha256(token.encode()).hexdigest()[:8]}"


def test_a_caller_is_named_by_its_token_in_calls_and_streams(
    served_by: ServedBy, token_file: Path, callers: Callers
) -> None:
    with served_by(token_file=token_file) as served:
        similar(served, FIRST)
        stream = RawStream(served.stub, metadata=bearing(SECOND))
        stream.send(product_id="p0000")
        stream.send(product_id="p9999")
        assert len(list(stream.rest())) == 2
        similar(served, FIRST)
    assert callers() == [
        (named(FIRST), "Search"),
        (named(SECOND), "SearchStream"),
        (named(SECOND), "SearchStream"),
        (named(FIRST), "Search"),
    ]


def test_without_tokens_a_caller_is_its_address_whatever_token_it_shows(
    served_by: ServedBy, callers: Callers
) -> None:
    with served_by() as served:
        similar(served, FIRST)
        served.stub.GetProducts(pb.GetProductsRequest(product_ids=["p0000"]), timeout=PATIENCE_S)
    assert callers() == [("ipv4:127.0.0.1", "Search"), ("ipv4:127.0.0.1", "GetProducts")]


def test_a_caller_with_a_certificate_is_named_by_it(
    served_by: ServedBy, tls: Path, callers: Callers
) -> None:
    files = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    with served_by(**{name: tls / file for name, file in files.items()}) as served:
        shown = [(tls / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
        with grpc.secure_channel(served.address, grpc.ssl_channel_credentials(*shown)) as channel:
            stub = pb_grpc.RetrievalServiceStub(channel)
            stub.Search(pb.SearchRequest(product_id="p0000"), timeout=PATIENCE_S)
    assert callers() == [("certificate client", "Search")]
