"""The command that loads an index into a store, for catalogues beyond one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import Message, tell
from export.progress import progress
from retrieval_server.index.loss import DEFAULT_MAX_LOSS
from retrieval_server.index.publish import open_index
from retrieval_server.serving.setting_options import setting_option
from retrieval_server.serving.settings import environment_variable
from retrieval_server.stores.address import StoreAddress
from retrieval_server.stores.load import Load, Loaded
from retrieval_server.stores.milvus import LOAD_TIMEOUT_S, STRONG, Milvus
from retrieval_server.stores.pace import Pace
from retrieval_server.stores.store_access import StoreAccess

Store = Annotated[str, setting_option("store")]
TlsCa = Annotated[Path | None, setting_option("store_tls_ca")]
TlsCert = Annotated[Path | None, setting_option("store_tls_cert")]
TlsKey = Annotated[Path | None, setting_option("store_tls_key")]
TokenFile = Annotated[Path | None, setting_option("store_token_file")]
MaxRowsPerSecond = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help="Most products to write in a second, so that searches of the store stay fast; as many "
        "as possible by default.",
    ),
]
MaxLoss = Annotated[
    float,
    typer.Option(
        envvar=environment_variable("max_loss"),
        min=0,
        max=1,
        help="Largest share of the products of the published version that may be fewer, from 0 "
        "to 1; 1 allows any.",
    ),
]


def load(
    index: Annotated[Path, typer.Argument(help="Index folder, or one version of it.")],
    *,
    store: Store,
    store_tls_ca: TlsCa = StoreAccess.tls_ca,
    store_tls_cert: TlsCert = StoreAccess.tls_cert,
    store_tls_key: TlsKey = StoreAccess.tls_key,
    store_token_file: TokenFile = StoreAccess.token_file,
    max_loss: MaxLoss = DEFAULT_MAX_LOSS,
    max_rows_per_second: MaxRowsPerSecond = None,
) -> None:
    """Load an index into a Milvus, verify it there, and publish it.

    A load that was stopped goes on where it was. Servers of the store then serve the version.

    Example: beauty-export load build/demo/index --store milvus-lite:build/demo/store.db/products
    """
    bundle = open_index(index)
    bundle.verify()
    access = StoreAccess(
        tls_ca=store_tls_ca,
        tls_cert=store_tls_cert,
        tls_key=store_tls_key,
        token_file=store_token_file,
    )
    milvus = Milvus(StoreAddress.of(store), LOAD_TIMEOUT_S, STRONG, access=access, creates=True)
    pace = Pace(max_rows_per_second)
    try:
        with progress("products", len(bundle)) as advance:
            loaded = Load(bundle, milvus, max_loss, pace).run(advance)
    finally:
        milvus.close()
    tell(_summary(loaded, store))


def _summary(loaded: Loaded, store: str) -> list[Message]:
    written = (
        "all were there"
        if not loaded.written
        else "all written now"
        if loaded.written == loaded.rows
        else f"{loaded.written:,} written now"
    )
    replaced = "" if loaded.replaced is None else f" in place of {loaded.replaced}"
    messages = [
        Message(
            f"{store}: {loaded.rows:,} products of {loaded.version}, {written}; published{replaced}"
        )
    ]
    if loaded.replaced_collections:
        names = ", ".join(loaded.replaced_collections)
        messages.append(
            Message(f"the collections {names} of {loaded.replaced} are no longer needed")
        )
    return messages
