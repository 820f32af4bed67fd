"""A real server that takes changes, and is searched meanwhile; ``changes`` runs this."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.running_server import PATIENCE_S, running_server
from benchmarks.search_database import MODELS, Query
from client.changes import CatalogueProduct
from client.retrieval_client import RetrievalClient
from retrieval_server.serving.served.compaction import LOWEST_PRIORITY
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

LONE_UPSERTS = 200
STREAMED = 4_000
PENDING = 5_000  # changes that are compacted
LOAD_A_SECOND = 20  # searches; some fifth of what two cores can answer
UNDISTURBED_S = 30


def measure_server(
    index: Path,
    models: Path,
    products: Sequence[CatalogueProduct],
    queries: Sequence[tuple[str, Query]],
) -> dict[str, Any]:
    """Measure lone upserts, a stream of them, and a compaction beside searches.

    Args:
        index: the index folder.
        models: the model repository.
        products: the upserts, more than ``PENDING``.
        queries: what is searched for beside the compaction.
    """
    options = ["--writable", "--reload-every-s", "1", "--compact-after", "0"]
    with (
        running_server(index, models, *options) as (_, address),
        RetrievalClient(address, timeout_s=PATIENCE_S) as client,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        stub = pb_grpc.RetrievalServiceStub(channel)
        lone = [_lone_upsert(client, stub, product) for product in products[:LONE_UPSERTS]]
        durable, found = np.array(lone[1:]).T  # the first one opens the log
        streamed = products[LONE_UPSERTS : LONE_UPSERTS + STREAMED]
        started = time.perf_counter()
        _require_durable(client, streamed)
        rate = len(streamed) / (time.perf_counter() - started)
        _require_durable(client, products[LONE_UPSERTS + STREAMED : PENDING])
        load = _Load(
            stub, [_request(dict(zip(MODELS, query, strict=True))) for _, query in queries]
        )
        load.start()
        time.sleep(UNDISTURBED_S)
        undisturbed = load.times()
        started = time.perf_counter()
        command = ["nice", "-n", str(LOWEST_PRIORITY)]  # as the writer runs it by itself
        command += [sys.executable, "-m", "export", "compact", str(index)]
        subprocess.run(command, check=True, capture_output=True)
        compaction_s = time.perf_counter() - started
        compacting = load.times()
        load.stop()
    return {
        "durable": _figures("an upsert with descriptors is durable", durable),
        "found": _figures("a search has found it", found),
        "streamed_a_second": round(rate),
        "undisturbed": _figures(f"a search, {LOAD_A_SECOND} a second", undisturbed),
        "compacting": _figures("the same beside a compaction", compacting),
        "compaction_s": round(compaction_s, 1),
    }


def _lone_upsert(
    client: RetrievalClient, stub: pb_grpc.RetrievalServiceStub, product: CatalogueProduct
) -> tuple[float, float]:
    """Milliseconds until an upsert is answered, and until a search for it has found it."""
    assert product.descriptors is not None, "changed products have descriptors"
    request = _request(product.descriptors)
    started = time.perf_counter()
    _require_durable(client, [product])
    durable = time.perf_counter()
    response = stub.Search(request, timeout=PATIENCE_S)
    found = time.perf_counter()
    if product.product_id not in {match.product_id for match in response.results}:
        raise RuntimeError(f"The search after the upsert of {product.product_id} does not find it.")
    return 1e3 * (durable - started), 1e3 * (found - started)


def _require_durable(client: RetrievalClient, products: Sequence[CatalogueProduct]) -> None:
    for outcome in client.upsert(products):
        if not outcome.is_durable:
            raise RuntimeError(f"{outcome.product_id}: {outcome.message}")


def _request(descriptors: Any) -> pb.SearchRequest:
    return pb.SearchRequest(
        descriptors=pb.Descriptors(
            by_model={model: pb.Descriptor(values=each) for model, each in descriptors.items()}
        )
    )


def _figures(what: str, milliseconds: Sequence[float]) -> dict[str, Any]:
    median, p99 = np.quantile(milliseconds, [0.5, 0.99]).tolist()
    return {
        "what": what,
        "count": len(milliseconds),
        "median_ms": round(median, 1),
        "p99_ms": round(p99, 1),
    }


@dataclass
class _Load:
    """Searches at regular times, whether or not those before are answered.

    A time counts from when a search is due, so a server that stands still is seen.

    Attributes:
        stub: of the server.
        requests: the searches, in turn.
    """

    stub: pb_grpc.RetrievalServiceStub
    requests: Sequence[pb.SearchRequest]
    _times: list[float] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to search."""
        self._thread = threading.Thread(target=self._search)
        self._thread.start()

    def times(self) -> list[float]:
        """Milliseconds of the searches that were answered since the last call.

        Raises:
            grpc.RpcError: if one of the searches has failed.
        """
        times, self._times = self._times, []
        return times

    def stop(self) -> None:
        """Search no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _search(self) -> None:
        began, number = time.perf_counter(), 0
        while not self._stopped.is_set():
            due = began + number / LOAD_A_SECOND
            self._stopped.wait(max(0.0, due - time.perf_counter()))
            call = self.stub.Search.future(
                self.requests[number % len(self.requests)], timeout=PATIENCE_S
            )
            call.add_done_callback(lambda done, due=due: self._note(done, due))
            number += 1

    def _note(self, done: grpc.Future, due: float) -> None:
        done.result()
        self._times.append(1e3 * (time.perf_counter() - due))
