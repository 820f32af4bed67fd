"""What a store asks for: TLS in one direction or both, and a token or a password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval_server.access.tls import channel_credentials
from retrieval_server.access.watched_files import file_content
from retrieval_server.errors import RetrievalError, StoreError
from retrieval_server.stores.address import StoreAddress

TLS, TOKEN_FILE = "--store-tls", "--store-token-file"
SECURE = "https://"


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """The files with what is shown to a store; no secret is on a command line.

    Attributes:
        tls_ca: PEM file with the authority of the store's certificate; turns TLS on.
        tls_cert: PEM file with the certificate to show, for a store that asks for one.
        tls_key: PEM file with its private key.
        token_file: file with a token, or with USER:PASSWORD.
    """

    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are named."""
        named = (self.tls_ca, self.tls_cert, self.tls_key, self.token_file)
        return tuple(path for path in named if path is not None)

    @property
    def hint(self) -> str:
        """What to look at where a connection fails: pymilvus does not say why."""
        tls = f"off, for want of {TLS}-ca" if self.tls_ca is None else "on"
        token = "no token" if self.token_file is None else f"the token in {self.token_file}"
        return f". Is it running there? TLS is {tls}; {token} is shown ({TOKEN_FILE})."

    def arguments(self, address: StoreAddress) -> dict[str, Any]:
        """The arguments of pymilvus' client, which reads the certificates itself.

        Args:
            address: where the store is.

        Raises:
            StoreError: if a file cannot be used, naming it, or they do not belong together.
        """
        if self.files and address.is_lite:
            raise StoreError(
                f"{address} is a file, which has neither TLS nor a password. Leave out "
                f"{TLS}-* and {TOKEN_FILE}."
            )
        try:
            return {"uri": address.uri, "token": self._token()} | self._tls(address)
        except RetrievalError as error:
            raise StoreError(str(error)) from error

    def _tls(self, address: StoreAddress) -> dict[str, str]:
        if self.tls_ca is None and self.tls_cert is None and self.tls_key is None:
            return {}
        if self.tls_ca is None or (self.tls_cert is None) != (self.tls_key is None):
            raise StoreError(
                f"TLS to a store needs {TLS}-ca; {TLS}-cert and {TLS}-key come on top, both of "
                "them."
            )
        channel_credentials(self.tls_ca, self.tls_cert, self.tls_key, option=TLS)  # checks them
        uri = {"uri": f"{SECURE}{address.host}"}
        if self.tls_cert is None:
            return uri | {"server_pem_path": str(self.tls_ca)}
        return uri | {
            "ca_pem_path": str(self.tls_ca),
            "client_pem_path": str(self.tls_cert),
            "client_key_path": str(self.tls_key),
        }

    def _token(self) -> str:
        """The token or the password; empty without one."""
        if self.token_file is None:
            return ""
        content = file_content(self.token_file, TOKEN_FILE)
        try:
            token = content.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise StoreError(f"{self.token_file} ({TOKEN_FILE}) is not UTF-8.") from error
        if any(character.isspace() for character in token):
            raise StoreError(
                f"{self.token_file} ({TOKEN_FILE}) has spaces or several lines. Write one token, "
                "or USER:PASSWORD."
            )
        return token
