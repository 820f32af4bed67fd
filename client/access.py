"""Certificates and token of a client, for a server that asks for them."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from client.errors import RetrievalError, UnreadableFileError


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a client shows to a server; by default it uses no TLS and shows no token.

    Attributes:
        tls_ca: PEM file of the authority that signed the server's certificate; turns TLS on.
        tls_cert: PEM file of our certificate, where the server wants one; turns TLS on.
        tls_key: PEM file of its private key.
        token_file: file whose first line is the token to show; read again for each call, so that
            the token can be replaced.
    """

    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Read the certificates.

        Returns:
            The credentials of a secure channel; None for a channel without TLS.

        Raises:
            RetrievalError: if a file cannot be read, or one comes without the other.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise RetrievalError("--tls-cert and --tls-key go together: give both or neither.")
        files = (self.tls_ca, self.tls_key, self.tls_cert)
        if files == (None, None, None):
            return None
        ca, key, cert = (None if file is None else file_bytes(file) for file in files)
        return grpc.ssl_channel_credentials(ca, key, cert)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Make the header that shows the token.

        Raises:
            UnreadableFileError: if its file cannot be read.
        """
        if self.token_file is None:
            return ()
        token = file_bytes(self.token_file).split(b"\n", 1)[0].strip()
        if not token or not all(0x21 <= byte <= 0x7E for byte in token):
            raise UnreadableFileError(
                f"The first line of {self.token_file} is no token: it must be visible ASCII "
                "characters."
            )
        return (("authorization", f"Bearer {token.decode()}"),)


OPEN = Access()  # no TLS and no token


def file_bytes(path: Path) -> bytes:
    """Read a file that must not be empty.

    Raises:
        UnreadableFileError: if it is empty or cannot be read.
    """
    if path.is_dir():
        raise UnreadableFileError(f"{path} is a folder, not a file. Name a file inside it.")
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableFileError(f"Cannot read {path}: {reason}. Check the path.") from error
    if not content:
        raise UnreadableFileError(f"{path} is empty (0 bytes). Name a file with content.")
    return content
