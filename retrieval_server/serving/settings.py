"""The server's settings: each one is stated here once, with its default, bounds and description.

Command lines make their options from these fields, see ``serving/setting_options.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from retrieval_server.access.tls import TlsFiles
from retrieval_server.command_line.addresses import LARGEST_PORT
from retrieval_server.command_line.option_values import address, folder, listening_host, seconds
from retrieval_server.cores import available_cores
from retrieval_server.engines.engine import ENGINES, TritonConnection
from retrieval_server.errors import RetrievalError
from retrieval_server.index.loss import DEFAULT_MAX_LOSS
from retrieval_server.models.image_file import WORST_IMAGE_BYTES
from retrieval_server.retrieval.search_request import DEFAULT_KEEP, DEFAULT_TOP_K, MAX_TOP_K
from retrieval_server.serving.store_option import store_address
from retrieval_server.stores.store_access import StoreAccess

LARGEST_MESSAGE_BYTES = 2**31 - 1  # of gRPC
REQUEST_OVERHEAD_BYTES = 2**20  # what a SearchRequest holds beside the image


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field of ``Settings`` says of itself, beside its type and its default.

    Attributes:
        help: the description, with units and the meaning of special values.
        min: smallest value that is allowed; None if there is no bound.
        max: largest value that is allowed; None if there is no bound.
        check: refuses other values on a command line; see ``command_line.option_values``.
    """

    help: str
    min: float | None = None
    max: float | None = None
    check: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server serves, and how; the ``Setting`` of each field describes it."""

    index: Annotated[
        Path | None,
        Setting(help="Folder of the index, whose file 'current' names a version; or of a version."),
    ] = None
    store: Annotated[
        str | None,
        Setting(
            help="Address of the store that has the index, instead of --index: "
            "milvus://HOST:PORT/COLLECTION, or milvus-lite:PATH.db/COLLECTION.",
            check=store_address,
        ),
    ] = None
    store_search_s: Annotated[
        float,
        Setting(
            help="Seconds after which a search does not ask the store for a longer list of "
            "candidates; its answer then says that nothing is proved.",
            min=0,
            check=seconds,
        ),
    ] = 2.0
    store_timeout_s: Annotated[
        float,
        Setting(help="Seconds that a call to the store may take.", min=0.001, check=seconds),
    ] = 10.0
    store_tls_ca: Annotated[
        Path | None,
        Setting(
            help="PEM file with the authority of the store's certificate; turns TLS on. The files "
            "of --store-tls-* and --store-token-file are read again when they change."
        ),
    ] = StoreAccess.tls_ca
    store_tls_cert: Annotated[
        Path | None,
        Setting(help="PEM file with the certificate to show to the store, where it asks for one."),
    ] = StoreAccess.tls_cert
    store_tls_key: Annotated[
        Path | None, Setting(help="PEM file with the private key of --store-tls-cert.")
    ] = StoreAccess.tls_key
    store_token_file: Annotated[
        Path | None,
        Setting(help="File with the token that the store asks for, or with USER:PASSWORD."),
    ] = StoreAccess.token_file
    model_repository: Annotated[
        Path,
        Setting(
            help="Folder with the models; an index needs those that it was built with.",
            check=folder,
        ),
    ] = Path("model_repository")
    engine: Annotated[
        str, Setting(help=f"Engine that computes the descriptors: {', '.join(ENGINES)}.")
    ] = ENGINES[0]
    host: Annotated[
        str,
        Setting(
            help="Address to listen on; 0.0.0.0 listens on every interface.",
            check=listening_host,
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Setting(help="Port of the search; 0 takes a free one.", min=0, max=LARGEST_PORT)
    ] = 50051
    health_port: Annotated[
        int | None,
        Setting(
            help="Further port that answers health checks only, always without TLS; 0 takes a free "
            "one. There is none by default.",
            min=0,
            max=LARGEST_PORT,
        ),
    ] = None
    metrics_port: Annotated[
        int | None,
        Setting(
            help="HTTP port of the Prometheus metrics; 0 takes a free one. There is none by "
            "default.",
            min=0,
            max=LARGEST_PORT,
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        Setting(
            help="PEM file with the server's certificate; turns TLS on. The files of --tls-* and "
            "--token-file are read again when they change."
        ),
    ] = None
    tls_key: Annotated[
        Path | None, Setting(help="PEM file with the private key of --tls-cert.")
    ] = None
    tls_client_ca: Annotated[
        Path | None,
        Setting(
            help="PEM file with the authority of the clients' certificates; every client then has "
            "to show one."
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Setting(
            help="File with one token a line; every request except a health check then has to show "
            "one of them. Behind a token may be its rights: search (the default), change, or "
            "search,change."
        ),
    ] = None
    max_connection_age_s: Annotated[
        float,
        Setting(
            help="Seconds after which a connection is closed gracefully, so that clients find new "
            "servers and show their certificates again; 0 means never.",
            min=0,
            check=seconds,
        ),
    ] = 300.0
    reload_every_s: Annotated[
        float,
        Setting(
            help="Seconds between two checks whether the index has a new version, which the server "
            "then loads and serves; 0 means never.",
            min=0,
            check=seconds,
        ),
    ] = 10.0
    max_loss: Annotated[
        float,
        Setting(
            help="Largest share of the current version's products, of their descriptions, or of "
            "the images that a new version of the index may lose, from 0 to 1. A new "
            "version that has lost more is not taken into use unless it is approved; 1 allows any.",
            min=0,
            max=1,
        ),
    ] = DEFAULT_MAX_LOSS
    writable: Annotated[
        bool,
        Setting(
            help="Take changes to the catalogue (Upsert and Delete), and write them to the log "
            "beside the versions of --index, or in the --store. One server of an index at a time."
        ),
    ] = False
    compact_after: Annotated[
        int,
        Setting(
            help="Number of changes at which a server with --writable has them taken into the next "
            "version of the index, as beauty-export compact does; 0 means never.",
            min=0,
        ),
    ] = 10_000
    keep_versions: Annotated[
        int,
        Setting(
            help="How many versions of the index stay after that: the current one and the newest "
            "others. Older ones that no process has open are removed.",
            min=1,
        ),
    ] = 3
    address_file: Annotated[
        Path | None,
        Setting(help="File to write HOST:PORT to as soon as the server answers; - prints it."),
    ] = None
    workers: Annotated[
        int,
        Setting(
            help="Threads that decode and search, one for each request in progress; the idle ones "
            "help a search that runs alone.",
            min=1,
        ),
    ] = available_cores()
    max_image_bytes: Annotated[
        int,
        Setting(
            help="Largest image, in bytes as encoded; a larger one is refused.",
            min=1,
            max=LARGEST_MESSAGE_BYTES - REQUEST_OVERHEAD_BYTES,
        ),
    ] = 20 * 2**20
    max_concurrent_requests: Annotated[
        int,
        Setting(
            help="Most searches in progress at once, which bounds the memory; further ones are "
            "refused, and those of a caller that does not leave an eighth of its own number free.",
            min=1,
        ),
    ] = 64
    max_streams: Annotated[
        int,
        Setting(
            help="Most streams of searches or upserts open at once; further ones are refused.",
            min=1,
        ),
    ] = 32
    max_stream_requests: Annotated[
        int,
        Setting(
            help="Most requests of one stream in progress at once; further ones are read later.",
            min=1,
        ),
    ] = 16
    max_decoding_bytes: Annotated[
        int,
        Setting(
            help="Memory in bytes that large images may need at once while they are decoded; "
            f"others wait. The worst image that is accepted needs {WORST_IMAGE_BYTES:,}.",
            min=WORST_IMAGE_BYTES,
        ),
    ] = WORST_IMAGE_BYTES
    longest_wait_s: Annotated[
        float,
        Setting(
            help="Longest time in seconds that a search may be expected to take; one that would "
            "take longer, or longer than its caller waits, is refused at once.",
            min=0.001,
        ),
    ] = 10.0
    default_top_k: Annotated[
        int,
        Setting(help="Number of results, if the request does not say.", min=1, max=MAX_TOP_K),
    ] = DEFAULT_TOP_K
    default_keep: Annotated[
        int,
        Setting(
            help="Best visual matches that stay (the paper's k), if the request does not say.",
            min=1,
            max=MAX_TOP_K,
        ),
    ] = DEFAULT_KEEP
    default_read_words: Annotated[
        bool,
        Setting(
            help="Read the words on photos, if the request does not say; needs the reader's models."
        ),
    ] = True
    drain_delay_s: Annotated[
        float,
        Setting(
            help="Seconds to accept requests at shutdown while health already reports NOT_SERVING.",
            min=0,
            check=seconds,
        ),
    ] = 0.0
    drain_s: Annotated[
        float,
        Setting(
            help="Seconds that requests in progress have to finish after that.",
            min=0,
            check=seconds,
        ),
    ] = 10.0
    triton_url: Annotated[
        str,
        Setting(help="HOST:PORT of Triton's gRPC endpoint, for the engine triton.", check=address),
    ] = TritonConnection.url
    triton_timeout_s: Annotated[
        float,
        Setting(
            help="Seconds that one query's call to Triton may take, retries included.",
            min=0.001,
            check=seconds,
        ),
    ] = TritonConnection.timeout_s
    triton_tls_ca: Annotated[
        Path | None,
        Setting(
            help="PEM file with the authority of Triton's certificate; any of the --triton-tls-* "
            "files turns TLS on."
        ),
    ] = TritonConnection.tls_ca
    triton_tls_cert: Annotated[
        Path | None,
        Setting(help="PEM file with the certificate to show to Triton, where it asks for one."),
    ] = TritonConnection.tls_cert
    triton_tls_key: Annotated[
        Path | None, Setting(help="PEM file with the private key of --triton-tls-cert.")
    ] = TritonConnection.tls_key
    triton_access_key: Annotated[
        str | None,
        Setting(
            help="NAME=VALUE that Triton asks for where inference is a restricted protocol; a "
            "secret, so set it in the environment."
        ),
    ] = field(default=TritonConnection.access_key, repr=False)

    @property
    def max_request_bytes(self) -> int:
        """Largest request message: an image of the largest size and everything beside it."""
        return self.max_image_bytes + REQUEST_OVERHEAD_BYTES

    @property
    def tls(self) -> TlsFiles | None:
        """The server's certificates; None where it speaks without TLS.

        Raises:
            RetrievalError: if a file is given without the one it belongs to.
        """
        if self.tls_cert is not None and self.tls_key is not None:
            return TlsFiles(cert=self.tls_cert, key=self.tls_key, client_ca=self.tls_client_ca)
        if (self.tls_cert, self.tls_key, self.tls_client_ca) != (None, None, None):
            raise RetrievalError(
                "TLS needs --tls-cert and --tls-key together; --tls-client-ca comes on top."
            )
        return None

    @property
    def store_access(self) -> StoreAccess:
        """What is shown to the store."""
        return StoreAccess(
            tls_ca=self.store_tls_ca,
            tls_cert=self.store_tls_cert,
            tls_key=self.store_tls_key,
            token_file=self.store_token_file,
        )

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


def environment_variable(name: str) -> str:
    """The environment variable of a setting, by its field's name."""
    return f"RETRIEVAL_{name.upper()}"
