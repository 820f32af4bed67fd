"""A Milvus server is killed and started again while products are searched and changed."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from retrieval_server.index.publish import open_index
from retrieval_server.stores.load import Load
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.lite_store import SERVER_VARIABLE, lite_address
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import Served, ServedBy
from tests.support.tiny_world import DIMENSIONS

KINDS = ("search", "upsert")
COMMAND = "TEST_MILVUS_SERVER"  # starts a Milvus server that answers at TEST_MILVUS
BEFORE, AFTER = 30, 60  # calls of each kind that succeed before the kill, and after it


def answers(address: str) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


@contextmanager
def milvus_server() -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the end of the block, or until it is killed."""
    with subprocess.Popen(
        shlex.split(os.environ[COMMAND]), stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            eventually(lambda: answers(os.environ[SERVER_VARIABLE]))
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def look(number: int) -> pb.Descriptors:
    """Descriptors of one's own for each number."""
    rng = np.random.default_rng(number)
    vectors = {model: rng.normal(size=length) for model, length in DIMENSIONS.items()}
    return pb.Descriptors(
        by_model={
            model: pb.Descriptor(values=vector / np.linalg.norm(vector))
            for model, vector in vectors.items()
        }
    )


class Callers:
    """Who searches and who changes; each notes what it was answered."""

    def __init__(self, served: Served) -> None:
        self._stub, self._stopped = served.stub, threading.Event()
        self.durable: dict[str, int] = {}  # the position of each product's upsert
        self.codes: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def search(self) -> None:
        """Look for products that were added; a search that is answered must find them."""
        while not self._stopped.wait(0.05):
            known = list(self.durable.items())[-1:]
            for product_id, position in known:
                request = pb.SearchRequest(descriptors=look(int(product_id[1:])), refine=False)
                try:
                    found = self._stub.Search(request, timeout=20)
                except grpc.RpcError as error:
                    self.codes["search", error.code().name] += 1
                else:
                    self.codes["search", "OK"] += 1
                    if found.results[0].product_id != product_id:
                        self.wrong.append(f"{product_id}, change {position}: {found.results[0]}")

    def change(self) -> None:
        """Add one product after the other; one that was refused is sent again."""
        number = 0
        while not self._stopped.wait(0.05):
            product_id = f"n{number}"
            request = pb.UpsertRequest(product_id=product_id, descriptors=look(number))
            try:
                (answer,) = self._stub.Upsert(iter([request]), timeout=60)
            except grpc.RpcError as error:
                self.codes["upsert", error.code().name] += 1
                continue
            code = next(each.name for each in grpc.StatusCode if each.value[0] == answer.code)
            self.codes["upsert", code] += 1
            if code == "OK":
                self.durable[product_id] = answer.change_position
                number += 1

    def run(self, kind: str) -> None:
        (self.search if kind == "search" else self.change)()

    def stop(self) -> None:
        self._stopped.set()

    def count(self, code: str) -> int:
        """How many calls of each kind have had a status, at least."""
        return min(self.codes[kind, code] for kind in KINDS)


@pytest.mark.skipif(COMMAND not in os.environ, reason=f"needs a command in {COMMAND}")
def test_no_answer_is_wrong_and_no_change_is_lost_when_milvus_is_killed(
    served_by: ServedBy, tiny_index: Path, tmp_path: Path
) -> None:
    address = lite_address(tmp_path)
    with milvus_server() as first:
        milvus = Milvus(address, PATIENCE_S, STRONG)
        Load(open_index(tiny_index), milvus, max_loss=0).run()
        milvus.close()
        with served_by(index=None, store=address.text, writable=True) as served:
            callers = Callers(served)
            threads = [threading.Thread(target=callers.run, args=(kind,)) for kind in KINDS]
            for thread in threads:
                thread.start()
            eventually(lambda: callers.count("OK") >= BEFORE)
            os.killpg(first.pid, signal.SIGKILL)
            eventually(lambda: callers.count("UNAVAILABLE") > 0)
            before = callers.codes.copy()
            with milvus_server():
                eventually(
                    lambda: all(
                        callers.codes[kind, "OK"] >= before[kind, "OK"] + AFTER for kind in KINDS
                    )
                )
                callers.stop()
                for thread in threads:
                    thread.join()
                sys.stderr.write(f"{dict(callers.codes)}; durable: {len(callers.durable)}\n")
                ids = [f"n{number}" for number in range(len(callers.durable))]
                there = served.stub.GetProducts(pb.GetProductsRequest(product_ids=ids), timeout=60)
                with served_by(index=None, store=address.text) as other:
                    same = other.stub.GetProducts(
                        pb.GetProductsRequest(product_ids=ids), timeout=60
                    )
    assert callers.wrong == []
    assert {code for _, code in callers.codes} == {"OK", "UNAVAILABLE"}
    assert [each.product_id for each in there.products] == ids
    assert [each.product_id for each in same.products] == ids
    assert same.change_position == there.change_position
