"""A server with a token file answers those who show one of its tokens."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from client import Access, RetrievalClient
from client import RetrievalError as ClientError
from retrieval_server.errors import RetrievalError
from retrieval_server.observability.metrics import ServerMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.serving import server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.access import FIRST, SECOND, replace, status, unreachable
from tests.support.raw_stream import RawStream
from tests.support.served import Served, ServedBy


@pytest.fixture
def with_token(served_by: ServedBy, token_file: Path) -> Iterator[Served]:
    with served_by(token_file=token_file) as served:
        yield served


@pytest.mark.parametrize("token", [FIRST, SECOND])
def test_every_token_of_the_file_opens_the_server(
    with_token: Served, tmp_path: Path, token: str
) -> None:
    shown = tmp_path / "shown"
    shown.write_text(token + "\n")
    assert status(with_token, token_file=shown) == "tiny"


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        FIRST,
        "Bearer",
        "Bearer ",
        f"Basic {FIRST}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST} {SECOND}",
        f"Bearer {FIRST.upper()}",
    ],
)
def test_every_other_header_is_refused(with_token: Served, shown: str | None) -> None:
    metadata = () if shown is None else (("authorization", shown),)

    def stream_of_one(request: pb.SearchStreamRequest, metadata: Any) -> object:
        return list(with_token.stub.SearchStream(iter([request]), metadata=metadata))

    for call, request in (
        (with_token.stub.GetStatus, pb.GetStatusRequest()),
        (with_token.stub.GetProducts, pb.GetProductsRequest(product_ids=["p0000"])),
        (with_token.stub.Search, pb.SearchRequest(product_id="p0000")),
        (stream_of_one, pb.SearchStreamRequest(id=1)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert FIRST not in caught.value.details()


@pytest.mark.parametrize("shown", [FIRST, "unknown-token-0123456789"])
@pytest.mark.parametrize(
    "kind", [grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler]
)
def test_a_method_has_one_handler_however_often_it_is_called(
    token_file: Path, shown: str, kind: Callable[..., object]
) -> None:
    """Else every call would cost a new one, and a stranger's calls would fill the memory."""
    settings = Settings(index=Path(), model_repository=Path(), token_file=token_file)
    interceptors = server._interceptors(settings, ServerMetrics(), Tracing())
    plain = kind(AsyncMock(), pb.SearchRequest.FromString)
    call = Mock(
        method="/retrieval_server.v1.RetrievalService/Search",
        invocation_metadata=(("authorization", f"Bearer {shown}"),),
    )

    async def handler() -> Any:
        found = AsyncMock(return_value=plain)
        for interceptor in reversed(interceptors):
            found = partial(interceptor.intercept_service, found)
        return await found(call)

    first = asyncio.run(handler())
    assert first is not plain
    assert asyncio.run(handler()) is first


def test_reflection_wants_the_token_and_health_does_not(with_token: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ProtoReflectionDescriptorDatabase(with_token.channel).get_services()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    request = health_pb2.HealthCheckRequest()
    serving = health_pb2.HealthCheckResponse.SERVING
    assert with_token.health.Check(request).status == serving
    watch = with_token.health.Watch(request)
    assert next(watch).status == serving
    watch.cancel()


def test_rotated_tokens_count_from_the_next_request_on(
    with_token: Served, token_file: Path, tmp_path: Path
) -> None:
    shown, new = tmp_path / "shown", "brand-new-token-0123456789"
    shown.write_text(FIRST)
    with RetrievalClient(with_token.address, access=Access(token_file=shown)) as client:
        assert client.status()
        replace(token_file, f"{SECOND}\n{new}\n".encode())
        with pytest.raises(ClientError, match="--token-file") as caught:
            client.status()
        assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED
        shown.write_text(new)  # the client reads its own anew as well
        assert client.status()


def test_a_stream_ends_when_its_token_is_no_longer_known(
    with_token: Served, token_file: Path
) -> None:
    stream = RawStream(with_token.stub, metadata=(("authorization", f"Bearer {FIRST}"),))
    stream.send(product_id="p0000")
    assert len(stream.next().answer.results) == 7
    replace(token_file, SECOND.encode())
    stream.send(product_id="p0000")
    with pytest.raises(grpc.RpcError):
        stream.next()
    assert stream.status()[0] is grpc.StatusCode.UNAUTHENTICATED


def test_tokens_hold_while_their_file_is_gone(with_token: Served, token_file: Path) -> None:
    token_file.rename(token_file.with_name("elsewhere"))
    shown = token_file.with_name("shown")
    shown.write_text(FIRST)
    assert status(with_token, token_file=shown) == "tiny"
    shown.write_text("unknown-token-0123456789")
    assert "does not know us" in unreachable(with_token, token_file=shown)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"short\n", b"a-good-token-0123456789\nno t"])
def test_file_without_usable_tokens_keeps_the_server_from_starting(
    served_by: ServedBy, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with (
        pytest.raises(RetrievalError, match=f"{path} .--token-file.") as caught,
        served_by(token_file=path),
    ):
        pass
    assert "a-good-token" not in str(caught.value)


READER, WRITER = "reader-token-0123456789", "writer-token-0123456789"


@pytest.mark.parametrize(
    ("token", "searches", "changes"),
    [(FIRST, True, False), (READER, True, True), (WRITER, False, True)],
)
def test_a_token_is_good_for_what_its_line_says(
    served_by: ServedBy, tmp_path: Path, token: str, searches: bool, changes: bool
) -> None:
    tokens, shown = tmp_path / "tokens", tmp_path / "shown"
    tokens.write_text(f"{FIRST}\n{READER} search,change\n{WRITER}\tchange\n")
    shown.write_text(token)
    with served_by(token_file=tokens) as served:
        assert status(served, token_file=shown) == "tiny"
        metadata = (("authorization", f"Bearer {token}"),)
        for call, request, is_allowed in (
            (served.stub.Search, pb.SearchRequest(product_id="p0000"), searches),
            (served.stub.Delete, pb.DeleteRequest(product_ids=["p0000"]), changes),
            (served.stub.Upsert, iter([pb.UpsertRequest()]), changes),
        ):
            code = grpc.StatusCode.OK
            try:
                answer = call(request, metadata=metadata)
                list(answer) if call is served.stub.Upsert else None
            except grpc.RpcError as error:
                code = error.code()
            # the server itself takes no changes
            allowed = {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION}
            assert (code in allowed) is is_allowed
            assert is_allowed or code is grpc.StatusCode.PERMISSION_DENIED


def test_every_method_of_the_service_has_its_right() -> None:
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["RetrievalService"].methods}
    assert set(server.RIGHTS) == methods - {"GetStatus"}


@pytest.mark.parametrize("rights", ["write", "search change", "search,", "search;change"])
def test_unknown_rights_keep_the_server_from_starting(
    served_by: ServedBy, tmp_path: Path, rights: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"\n{FIRST} {rights}\n")
    with (
        pytest.raises(RetrievalError, match="line 2: behind a token may be"),
        served_by(token_file=tokens),
    ):
        pass
