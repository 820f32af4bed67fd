"""The server's settings: each has one default, here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from retrieval_server.access.tls import TlsFiles
from retrieval_server.cores import available_cores
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.errors import RetrievalError
from retrieval_server.retrieval.search_request import DEFAULT_KEEP, DEFAULT_TOP_K


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server serves, and how.

    Attributes:
        index: a version's folder, or the folder whose ``current`` names the version.
        model_repository: the folder with the models the index was built with.
        engine: what computes the descriptors of a query.
        host: address to listen on; 0.0.0.0 for every interface.
        port: port to listen on; 0 takes a free one.
        health_port: port for health alone, always in the clear, for probes that speak no TLS; None
            for none beside ``port``.
        metrics_port: port where Prometheus asks over HTTP; 0 takes a free one, None for none.
        tls_cert: PEM file of our certificate; turns TLS on. Read again when it changes, as the
            other three files.
        tls_key: PEM file of its private key.
        tls_client_ca: PEM file of the authority of the clients' certificates, which then are
            demanded.
        token_file: file with one token a line, one of which every request then has to show; health
            does not.
        max_connection_age_s: seconds after which a connection is closed, gently, so that clients
            find new servers and show their certificates again; 0 for never.
        reload_every_s: seconds between two looks whether ``index`` has another current version,
            which then takes the place of the one served; 0 for none.
        address_file: where to write ``host:port`` once the server answers; None for nowhere.
        workers: searches and decodings that go on side by side; a search with idle ones beside it
            is spread over their cores.
        max_image_bytes: largest image accepted.
        max_concurrent_requests: searches in progress at most; further ones are refused.
        default_top_k: results for a request that does not say.
        default_keep: the paper's k for a request that does not say.
        drain_delay_s: seconds at shutdown to report NOT_SERVING and go on serving, until everybody
            has heard of it.
        drain_s: seconds that requests in progress get after that.
        triton_url: ``host:port`` of Triton's gRPC endpoint, for the engine ``triton``.
        triton_timeout_s: seconds a query's call to Triton may take, retries included.
        triton_tls_ca: PEM file of the authority behind Triton's certificate; a TLS file turns TLS
            on.
        triton_tls_cert: PEM file of our certificate, where Triton asks for one.
        triton_tls_key: PEM file of its private key.
        triton_access_key: ``NAME=VALUE``, where inference is a restricted protocol; a secret.
    """

    index: Path
    model_repository: Path = Path("model_repository")
    engine: str = "embedded"
    host: str = "127.0.0.1"
    port: int = 50051
    health_port: int | None = None
    metrics_port: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    token_file: Path | None = None
    max_connection_age_s: float = 300.0
    reload_every_s: float = 10.0
    address_file: Path | None = None
    workers: int = available_cores()
    max_image_bytes: int = 20 * 2**20
    max_concurrent_requests: int = 64
    default_top_k: int = DEFAULT_TOP_K
    default_keep: int = DEFAULT_KEEP
    drain_delay_s: float = 0.0
    drain_s: float = 10.0
    triton_url: str = TritonConnection.url
    triton_timeout_s: float = TritonConnection.timeout_s
    triton_tls_ca: Path | None = TritonConnection.tls_ca
    triton_tls_cert: Path | None = TritonConnection.tls_cert
    triton_tls_key: Path | None = TritonConnection.tls_key
    triton_access_key: str | None = field(default=TritonConnection.access_key, repr=False)

    @property
    def tls(self) -> TlsFiles | None:
        """The server's certificates; None to talk in the clear.

        Raises:
            RetrievalError: if one of them makes no sense without another.
        """
        if self.tls_cert is not None and self.tls_key is not None:
            return TlsFiles(cert=self.tls_cert, key=self.tls_key, client_ca=self.tls_client_ca)
        if (self.tls_cert, self.tls_key, self.tls_client_ca) != (None, None, None):
            raise RetrievalError(
                "TLS needs --tls-cert and --tls-key together; --tls-client-ca comes on top."
            )
        return None

    @property
    def triton(self) -> TritonConnection:
        """The settings of the engine ``triton``."""
        return TritonConnection(
            url=self.triton_url,
            timeout_s=self.triton_timeout_s,
            tls_ca=self.triton_tls_ca,
            tls_cert=self.triton_tls_cert,
            tls_key=self.triton_tls_key,
            access_key=self.triton_access_key,
        )
