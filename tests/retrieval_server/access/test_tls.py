"""A server with certificates: whom it answers, and how it rotates them."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client import RetrievalClient
from client import RetrievalError as ClientError
from retrieval_server.errors import RetrievalError
from tests.support.access import replace, shown_certificate, status, unreachable
from tests.support.served import ServedBy


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
        first = shown_certificate(served.address)
        assert first
        replace(tls / "server.pem", (tls / "client.pem").read_bytes())
        with caplog.at_level(logging.ERROR):  # half of a rotation: the key is not there yet
            assert shown_certificate(served.address) == first
        assert "What was read before is still used" in caplog.text
        replace(tls / "server.key", (tls / "client.key").read_bytes())
        second = shown_certificate(served.address)
        assert second not in (None, first)
        assert status(served, tls_ca=tls / "ca.pem") == "tiny"


def test_rotation_under_load_fails_no_call(served_by: ServedBy, tls: Path) -> None:
    """Each call is a new connection, with a handshake before, during or after the rotation."""
    with served_by(tls_cert=tls / "server.pem", tls_key=tls / "server.key") as served:
        first = shown_certificate(served.address)
        answers: list[str] = []
        rotated = threading.Event()

        def call() -> None:
            while not rotated.is_set():
                answers.append(status(served, tls_ca=tls / "ca.pem"))
            answers.append(status(served, tls_ca=tls / "ca.pem"))

        with ThreadPoolExecutor() as pool:
            callers = [pool.submit(call) for _ in range(3)]
            for name in ("server.pem", "server.key"):
                source = tls / name.replace("server", "client")
                replace(tls / name, source.read_bytes())
                status(served, tls_ca=tls / "ca.pem")
            rotated.set()
            for each in callers:
                each.result()
        assert shown_certificate(served.address) not in (None, first)
        assert set(answers) == {"tiny"}


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
