"""TLS of server and engine: certificates from files, which are read again when they are rotated."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from retrieval_server.access.watched_files import WatchedFiles, file_content
from retrieval_server.errors import RetrievalError


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """The server's PEM files.

    Attributes:
        cert: the server's certificate, followed by the intermediate certificates.
        key: its private key.
        client_ca: certificate of the authority of the clients; every client then has to show a
            certificate of it. None asks clients for no certificate.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Make credentials that check before each handshake whether their files have changed.

    An open connection keeps the certificate it began with, until ``max_connection_age_s`` ends it.

    Args:
        files: the certificates.

    Raises:
        RetrievalError: if a file cannot be used, naming it.
    """
    paths = (files.cert, files.key) + (() if files.client_ca is None else (files.client_ca,))
    watched = WatchedFiles(paths, lambda: _configuration(files))
    return grpc.dynamic_ssl_server_credentials(
        watched.content(),
        watched.content,
        require_client_authentication=files.client_ca is not None,
    )


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    cert, key = file_content(files.cert, "--tls-cert"), file_content(files.key, "--tls-key")
    ca = None if files.client_ca is None else file_content(files.client_ca, "--tls-client-ca")
    _check_pair(files.cert, files.key, "--tls")
    if files.client_ca is not None:
        _check_authority(files.client_ca, "--tls-client-ca")
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)


def channel_credentials(
    ca: Path | None, cert: Path | None, key: Path | None, *, option: str
) -> WatchedFiles[grpc.ChannelCredentials]:
    """Make credentials of a client, and make them anew when their files have changed.

    Args:
        ca: certificate of the authority of the server; None for those that the system trusts.
        cert: the client's certificate, for a server that asks for one.
        key: its private key.
        option: that names the files, without its ending: ``--triton-tls`` for ``--triton-tls-ca``.

    Returns:
        Credentials that are the same object as long as the files do not change.

    Raises:
        RetrievalError: if a file cannot be used, naming it.
    """

    def read() -> grpc.ChannelCredentials:
        named = ((ca, "ca"), (key, "key"), (cert, "cert"))
        contents = [
            None if path is None else file_content(path, f"{option}-{ending}")
            for path, ending in named
        ]
        if cert is not None and key is not None:
            _check_pair(cert, key, option)
        if ca is not None:
            _check_authority(ca, f"{option}-ca")
        return grpc.ssl_channel_credentials(*contents)

    return WatchedFiles(tuple(path for path in (ca, cert, key) if path is not None), read)


def _check_pair(cert: Path, key: Path, option: str) -> None:
    """Refuse files with which gRPC would fail at each handshake, without an error message."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise RetrievalError(
            f"{cert} ({option}-cert) and {key} ({option}-key) are no PEM certificate with its "
            f"private key, unencrypted: {error}."
        ) from error


def _check_authority(ca: Path, option: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise RetrievalError(f"{ca} ({option}) holds no PEM certificate: {error}.") from error
