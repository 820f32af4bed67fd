"""The client's certificates and token, from options and environment."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client import Access, RetrievalClient
from client import RetrievalError as ClientError
from client.cli import app
from tests.support.served import ServedBy


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
