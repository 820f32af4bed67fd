"""No secret is in the log of a real server, nor where every process of a machine can read it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from client.cli import app as search_app
from retrieval_server.cli import create_app
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.access import FIRST, SECOND
from tests.support.patience import PATIENCE_S, eventually
from tests.support.search_calls import photo

STRANGER = "token-of-a-stranger-0123456789"
WORDS = "a most private wish"
PASSWORD = "pass-word-0123456789"


@dataclass(frozen=True)
class ServerProcess:
    """A server with TLS, tokens and metrics."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path
    token_file: Path
    certificates: Path

    def status_of(self, token: str, request: pb.SearchRequest) -> grpc.StatusCode:
        """The status of a search with a token."""
        files = [(self.certificates / name).read_bytes() for name in ("ca.pem", "client.key")]
        chain = (self.certificates / "client.pem").read_bytes()
        credentials = grpc.ssl_channel_credentials(*files, chain)
        with grpc.secure_channel(self.address, credentials) as channel:
            call = pb_grpc.RetrievalServiceStub(channel).Search.with_call
            metadata = (("authorization", f"Bearer {token}"),)
            try:
                return call(request, timeout=PATIENCE_S, metadata=metadata)[1].code()
            except grpc.RpcError as error:
                return error.code()

    def stop(self) -> str:
        """Stop it; returns its log."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        return self.log.read_text()


@pytest.fixture
def server(
    tiny_index: Path, tiny_repository: Path, certificates: Path, tmp_path: Path
) -> Iterator[ServerProcess]:
    token_file, address_file, log = (tmp_path / name for name in ("tokens", "address", "log"))
    token_file.write_text(f"{FIRST}\n")
    options = {
        "--index": tiny_index,
        "--model-repository": tiny_repository,
        "--port": 0,
        "--metrics-port": 0,
        "--token-file": token_file,
        "--tls-cert": certificates / "server.pem",
        "--tls-key": certificates / "server.key",
        "--tls-client-ca": certificates / "ca.pem",
        "--address-file": address_file,
        "--drain-delay-s": 0,
    }
    words = [str(word) for option in options.items() for word in option]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "retrieval_server", *words], stdout=output, stderr=output
        )
    try:
        eventually(lambda: process.poll() is not None or address_file.is_file())
        assert process.poll() is None, log.read_text()
        address = address_file.read_text().strip()
        yield ServerProcess(process, address, log, token_file, certificates)
    finally:
        process.kill()
        process.wait()


def secrets(certificates: Path) -> list[str]:
    keys = [(certificates / f"{name}.key").read_text() for name in ("server", "client", "ca")]
    lines = [line for key in keys for line in key.splitlines() if not line.startswith("-----")]
    return [FIRST, SECOND, STRANGER, WORDS, *lines]


def test_no_secret_is_in_the_log_or_the_list_of_processes(server: ServerProcess) -> None:
    good, bad = pb.SearchRequest(image=photo(), words=WORDS), pb.SearchRequest(image=b"no photo")
    assert server.status_of(FIRST, good) is grpc.StatusCode.OK
    assert server.status_of(FIRST, bad) is grpc.StatusCode.INVALID_ARGUMENT
    assert server.status_of(STRANGER, good) is grpc.StatusCode.UNAUTHENTICATED
    proc = Path(f"/proc/{server.process.pid}")
    shown = (proc / "cmdline").read_text() + (proc / "comm").read_text()
    assert "--token-file" in shown
    server.token_file.write_text("short\n")  # in the middle of a rotation: the log says so
    assert server.status_of(FIRST, good) is grpc.StatusCode.OK
    server.token_file.write_text(f"{SECOND}\n")
    assert server.status_of(SECOND, good) is grpc.StatusCode.OK
    log = server.stop()
    answered = [json.loads(line[line.index("{") :]) for line in log.splitlines() if "{" in line]
    assert [each["status"] for each in answered].count("OK") == 3
    assert "must hold one token a line" in log
    assert "read again" in log
    for secret in secrets(server.certificates):
        assert secret not in log
        assert secret not in shown


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("server", ["--index", "x", "--engine", "triton", "--triton-url", "me:{}@triton:8001"]),
        ("server", ["--store", "milvus://root:{}@milvus:19530/products"]),
        ("server", ["fetch", "https://me:{}@indexes.example/beauty", "--output", "x"]),
        ("server", ["health", "me:{}@localhost:50052"]),
        ("search", ["status", "--server", "dns:///me:{}@server:50051"]),
        ("search", ["status", "--server", "https://me:{} x@server:50051"]),
    ],
    ids=["Triton", "store", "fetch", "health", "client", "with a space"],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(
    program: str, words: list[str]
) -> None:
    words = [word.format(PASSWORD) for word in words]
    app = create_app(words) if program == "server" else search_app
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "a user before its host" in " ".join(done.output.split())
    assert PASSWORD not in done.output


def test_a_password_in_the_environment_is_not_repeated_either() -> None:
    environment = {"RETRIEVAL_STORE": f"milvus://root:{PASSWORD}@milvus:19530/products"}
    done = CliRunner().invoke(create_app(), [], env=os.environ | environment)
    assert done.exit_code == 2
    assert PASSWORD not in done.output
