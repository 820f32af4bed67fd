"""Whom a real server lets in, by certificate and by token; the client's side of both."""

import logging
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from typer.testing import CliRunner, Result

from client import Access, RetrievalClient
from client import RetrievalError as ClientError
from client.cli import app
from retrieval_server.access.watched_files import WatchedFiles
from retrieval_server.errors import RetrievalError
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.served import PATIENCE_S, Served, ServedBy

FIRST, SECOND = "first-token-0123456789", "second-token-0123456789"


@pytest.fixture
def tls(certificates: Path, tmp_path: Path) -> Path:
    """The certificates, to be rotated."""
    return shutil.copytree(certificates, tmp_path / "tls")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{FIRST}\n{SECOND}\n")
    return path


@pytest.fixture
def with_token(served_by: ServedBy, token_file: Path) -> Iterator[Served]:
    with served_by(token_file=token_file) as served:
        yield served


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


def shown_certificate(served: Served) -> bytes | None:
    host, _, port = served.address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), PATIENCE_S) as connection,
        context.wrap_socket(connection) as secure,
    ):
        return secure.getpeercert(binary_form=True)


# TLS


def test_server_with_a_certificate_speaks_tls_only(served_by: ServedBy, tls: Path) -> None:
    with served_by(tls_cert=tls / "server.pem", tls_key=tls / "server.key") as served:
        assert status(served, tls_ca=tls / "ca.pem") == "tiny"
        assert "cannot" in unreachable(served)
        assert "cannot" in unreachable(served, tls_ca=tls / "stranger.pem")


def test_server_with_a_client_authority_lets_its_clients_in_alone(
    served_by: ServedBy, tls: Path
) -> None:
    ca, files = {"tls_ca": tls / "ca.pem"}, {"cert": "client.pem", "key": "client.key"}
    with served_by(
        tls_cert=tls / "server.pem", tls_key=tls / "server.key", tls_client_ca=tls / "ca.pem"
    ) as served:
        known = {f"tls_{kind}": tls / name for kind, name in files.items()}
        assert status(served, **ca, **known) == "tiny"
        assert "cannot" in unreachable(served, **ca)
        stranger = {"tls_cert": tls / "stranger.pem", "tls_key": tls / "stranger.key"}
        assert "cannot" in unreachable(served, **ca, **stranger)


def test_rotated_certificate_is_shown_to_the_next_connection(
    served_by: ServedBy, tls: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with served_by(tls_cert=tls / "server.pem", tls_key=tls / "server.key") as served:
        first = shown_certificate(served)
        assert first
        replace(tls / "server.pem", (tls / "client.pem").read_bytes())
        with caplog.at_level(logging.ERROR):  # half of a rotation: the key is not there yet
            assert shown_certificate(served) == first
        assert "What was read before is still used" in caplog.text
        replace(tls / "server.key", (tls / "client.key").read_bytes())
        second = shown_certificate(served)
        assert second not in (None, first)
        assert status(served, tls_ca=tls / "ca.pem") == "tiny"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"tls_cert": "server.pem", "tls_key": "client.key"}, "no PEM certificate with its"),
        ({"tls_cert": "server.key", "tls_key": "server.key"}, "no PEM certificate with its"),
        ({"tls_cert": "absent.pem", "tls_key": "server.key"}, "absent.pem"),
        ({"tls_cert": "server.pem"}, "--tls-cert and --tls-key together"),
        ({"tls_key": "server.key"}, "--tls-cert and --tls-key together"),
        ({"tls_client_ca": "ca.pem"}, "--tls-cert and --tls-key together"),
        (
            {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.key"},
            "ca.key .--tls-client-ca. holds no PEM certificate",
        ),
    ],
)
def test_certificates_that_make_no_sense_keep_the_server_from_starting(
    served_by: ServedBy, certificates: Path, files: dict[str, str], named: str
) -> None:
    settings = {name: certificates / file for name, file in files.items()}
    with pytest.raises(RetrievalError, match=named), served_by(**settings):
        pass


def test_health_has_a_port_without_tls_and_token_where_nothing_else_answers(
    served_by: ServedBy, tls: Path, token_file: Path
) -> None:
    with served_by(
        tls_cert=tls / "server.pem",
        tls_key=tls / "server.key",
        token_file=token_file,
        health_port=0,
    ) as served:
        assert served.running.health_address
        with grpc.insecure_channel(served.running.health_address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", "retrieval_server.v1.RetrievalService"):
                answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with (
            RetrievalClient(served.running.health_address) as client,
            pytest.raises(ClientError, match="does not speak"),
        ):
            client.status()


# Tokens


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
    for call, request in (
        (with_token.stub.GetStatus, pb.GetStatusRequest()),
        (with_token.stub.Search, pb.SearchRequest(product_id="p0000")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert FIRST not in caught.value.details()


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


# The command line


def beauty_search(*arguments: object, **environment: str) -> Result:
    clean = {name: None for name in os.environ if name.startswith("BEAUTY_SEARCH")}
    return CliRunner().invoke(app, [str(each) for each in arguments], env=clean | environment)


def test_client_takes_certificates_and_token_from_options_and_environment(
    served_by: ServedBy, tls: Path, token_file: Path
) -> None:
    files = {
        "TLS_CA": tls / "ca.pem",
        "TLS_CERT": tls / "client.pem",
        "TLS_KEY": tls / "client.key",
        "TOKEN_FILE": token_file,
    }
    with served_by(
        tls_cert=tls / "server.pem",
        tls_key=tls / "server.key",
        tls_client_ca=tls / "ca.pem",
        token_file=token_file,
    ) as served:
        names = {f"BEAUTY_SEARCH_{name}": str(file) for name, file in files.items()}
        by_environment = beauty_search("status", "-s", served.address, **names)
        assert by_environment.exit_code == 0, by_environment.output
        options = [
            word
            for name, file in files.items()
            for word in ("--" + name.lower().replace("_", "-"), file)
        ]
        assert beauty_search("status", "-s", served.address, *options).exit_code == 0
        without = beauty_search("status", "-s", served.address, *options[:-2])
        assert without.exit_code == 1
        assert "--token-file" in without.stderr


def test_client_refuses_a_certificate_without_its_key_and_a_token_that_is_none(
    tmp_path: Path,
) -> None:
    with pytest.raises(ClientError, match="--tls-cert and --tls-key go together"):
        RetrievalClient(access=Access(tls_cert=tmp_path / "client.pem"))
    for content in (b"\nlater", b"two words", "é".encode()):
        path = tmp_path / "token"
        path.write_bytes(content)
        client = RetrievalClient("localhost:1", access=Access(token_file=path))
        with client, pytest.raises(ClientError, match="is no token"):
            client.status()


# Files that change


def test_watched_files_are_read_once_while_they_stay_as_they_are(tmp_path: Path) -> None:
    path, reads = tmp_path / "file", []
    path.write_text("one")

    def read() -> str:
        reads.append(path.read_text())
        return reads[-1]

    watched = WatchedFiles((path,), read)
    assert [watched.content() for _ in range(3)] == ["one"] * 3
    assert len(reads) == 1
    replace(path, b"two")
    assert [watched.content() for _ in range(3)] == ["two"] * 3
    assert len(reads) == 2


def test_file_replaced_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    """Two files that belong together are never taken from two rotations."""
    path, later = tmp_path / "file", [b"three"]
    path.write_text("one")

    def read() -> str:
        content = path.read_text()
        if content == "two" and later:
            replace(path, later.pop())
        return content

    watched = WatchedFiles((path,), read)
    replace(path, b"two")
    assert watched.content() == "one"
    assert watched.content() == "three"
