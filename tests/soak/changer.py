"""Changes the catalogue all the time: each change is sent again until it is answered."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import numpy as np

from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.soak.history import Change, Descriptors
from tests.soak.load import WHILE_BROKEN
from tests.soak.world import CALL_TIMEOUT_S, World
from tests.support.patience import PATIENCE_S
from tests.support.tiny_world import TINY_PROFILE

NEW_PRODUCTS = 40
AGAIN_AFTER_S = 0.05
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]


class Changer:
    """Upserts and deletes products in a thread, one after the other.

    Args:
        address: of the server.
        world: what is served; its histories get each change that was answered.
        pause_s: between two changes.

    Attributes:
        between: the lock that a change has until it is answered.
        answered: how many upserts and deletes were.
        wrong: what was no status of a server that is broken.
    """

    def __init__(self, address: str, world: World, pause_s: float) -> None:
        self._world, self._pause_s = world, pause_s
        self._channel = grpc.insecure_channel(address, RECONNECT)
        self._stub = pb_grpc.RetrievalServiceStub(self._channel)
        self._stops = threading.Event()
        self.between = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End, when the last change is answered."""
        self._stops.set()
        self._thread.join()

    def lost(self) -> tuple[int, list[str]]:
        """The products that are not served as the answered changes have made them.

        Returns:
            The number of the catalogue that is served, and the ids of its products.
        """
        ids = sorted({each for history in self._world.histories for each in history.texts})
        request = pb.GetProductsRequest(product_ids=ids)
        answer = self._stub.GetProducts(request, timeout=PATIENCE_S, wait_for_ready=True)
        lineage = self._world.lineage_of(answer.index_version)
        served = dict.fromkeys(answer.missing_ids) | {
            product.product_id: product.description for product in answer.products
        }
        wanted = self._world.histories[lineage].texts
        return lineage, [each for each in wanted if served[each] != wanted[each]]

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _run(self) -> None:
        changes = self._changes()
        while not self._stops.wait(self._pause_s):
            with self.between:
                self._make(*next(changes))

    def _changes(self) -> Iterator[tuple[Change, bytes]]:
        """Random changes; the photo of those that come with one."""
        generator = np.random.default_rng(1)
        ids = [f"n{number:02d}" for number in range(NEW_PRODUCTS)] + list(self._world.changeable)
        number = 0
        while True:
            number += 1
            product_id = str(generator.choice(ids))
            photo, looks = self._world.photos[generator.integers(len(self._world.photos))]
            text = f"a jar of change {number}"
            if generator.random() < 0.25:
                yield Change(product_id), b""
            elif generator.random() < 0.25:
                yield Change(product_id, text, looks), photo.read_bytes()
            else:
                yield Change(product_id, text, near(looks, generator)), b""

    def _make(self, change: Change, photo: bytes) -> None:
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            problem = self._send(change, photo)
            if problem is None:
                return
            if problem not in WHILE_BROKEN:
                self.wrong.append(f"change of {change.product_id}: {problem}")
                return
            time.sleep(AGAIN_AFTER_S)
        self.wrong.append(f"change of {change.product_id}: not answered within {PATIENCE_S:g} s")

    def _send(self, change: Change, photo: bytes) -> grpc.StatusCode | str | None:
        """Send a change, and note it if it was made; else why it was not."""
        try:
            if change.descriptors is None:
                self._delete(change)
                return None
            answer = self._upsert(change, photo)
        except grpc.RpcError as error:
            return error.code()
        if answer.code:
            known = {code.value[0]: code for code in grpc.StatusCode}[answer.code]
            return known if known in WHILE_BROKEN else f"{known.name}: {answer.message}"
        self._note("upserts", change, answer.index_version, answer.change_position)
        return None

    def _upsert(self, change: Change, photo: bytes) -> pb.UpsertResponse:
        request = pb.UpsertRequest(product_id=change.product_id, description=change.description)
        if photo:
            request.image = photo
        else:
            assert change.descriptors is not None
            for model, vector in zip(TINY_PROFILE.models, change.descriptors, strict=True):
                request.descriptors.by_model[model].values.extend(vector.tolist())
        for answer in self._stub.Upsert(iter([request]), timeout=CALL_TIMEOUT_S):
            return answer
        raise AssertionError("the stream has ended without an answer or an error")

    def _delete(self, change: Change) -> None:
        request = pb.DeleteRequest(product_ids=[change.product_id])
        answer = self._stub.Delete(request, timeout=CALL_TIMEOUT_S)
        history = self._world.histories[self._world.lineage_of(answer.index_version)]
        # a delete that was sent again may have been made the first time
        if answer.deleted_count or answer.change_position > history.position:
            self._note("deletes", change, answer.index_version, answer.change_position)

    def _note(self, kind: str, change: Change, version: str, position: int) -> None:
        self._world.histories[self._world.lineage_of(version)].add(change, position)
        self.answered[kind] += 1


def near(looks: Descriptors, generator: np.random.Generator) -> Descriptors:
    """Descriptors not far from others."""
    moved = [vector + 0.1 * generator.normal(size=vector.shape) for vector in looks]
    return tuple((vector / np.linalg.norm(vector)).astype(np.float32) for vector in moved)
