"""TLS of the server: certificates from files, which are read again when they are rotated."""

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
    _check(files)
    return grpc.ssl_server_certificate_configuration([(key, cert)], ca)


def _check(files: TlsFiles) -> None:
    """Refuse files with which gRPC would fail at each handshake, without an error message."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.cert, files.key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise RetrievalError(
            f"{files.cert} (--tls-cert) and {files.key} (--tls-key) are no PEM certificate with "
            f"its private key, unencrypted: {error}."
        ) from error
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise RetrievalError(
                f"{files.client_ca} (--tls-client-ca) holds no PEM certificate: {error}."
            ) from error
