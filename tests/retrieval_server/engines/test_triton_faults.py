"""A search server over a real Triton: what its callers see while things break.

Each call ends within its deadline, with the right result or with a status that is true; never with
a wrong result.
"""

import asyncio
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from export.models.fingerprint import add_fingerprint
from retrieval_server.engines.triton_errors import is_transient, translated
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.models.profile import Profile
from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.local_triton import RECOVER_WITHIN_S, LocalTriton, eventually, serving
from tests.support.tiny_world import DIMENSIONS, tiny_model

pytestmark = pytest.mark.usefixtures("local_triton_environment")

KILLS = 20
CALLERS = 3
DEADLINE_S = 3.0
GRACE_S = 1.0  # gRPC ends a call at its deadline; the rest is this machine's
TRUE_WHILE_BROKEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
SERVICE = "retrieval_server.v1.RetrievalService"
STUB, SERVER = "triton_python_backend_stub", "bin/tritonserver"


@dataclass
class SearchServer:
    """A running search server, and a photo with its right answer."""

    stub: pb_grpc.RetrievalServiceStub
    health: health_pb2_grpc.HealthStub
    photo: bytes
    expected: list[tuple[str, float]] = field(default_factory=list)

    def search(self, deadline_s: float = DEADLINE_S) -> grpc.StatusCode:
        """One call; its status, once its result, if any, and its time were found right."""
        started = time.monotonic()
        try:
            answer = self.stub.Search(pb.SearchRequest(image=self.photo), timeout=deadline_s)
        except grpc.RpcError as error:
            status = error.code()
        else:
            status = grpc.StatusCode.OK
            assert [(m.product_id, m.similarity) for m in answer.results] == self.expected
        assert time.monotonic() - started < deadline_s + GRACE_S
        return status

    def is_right(self) -> bool:
        return self.search() is grpc.StatusCode.OK

    def is_ready(self) -> bool:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        return self.health.Check(request, timeout=DEADLINE_S).status == 1


@contextmanager
def searching(index: Path, repository: Path, url: str, photo: Path) -> Iterator[SearchServer]:
    """Serve an index through a Triton, in a thread of this process."""
    settings = Settings(
        index=index, model_repository=repository, engine="triton", port=0, triton_url=url
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        running = asyncio.run_coroutine_threadsafe(start_server(settings), loop).result(30)
        with grpc.insecure_channel(running.address) as channel:
            server = SearchServer(
                pb_grpc.RetrievalServiceStub(channel),
                health_pb2_grpc.HealthStub(channel),
                photo.read_bytes(),
            )
            request = pb.SearchRequest(image=server.photo)
            answer = server.stub.Search(request, timeout=2 * RECOVER_WITHIN_S)
            server.expected = [(m.product_id, m.similarity) for m in answer.results]
            yield server
        asyncio.run_coroutine_threadsafe(running.stop(0), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def load(server: SearchServer) -> Iterator[Counter[grpc.StatusCode]]:
    """Callers that search without a pause; counts the statuses they get."""
    statuses: Counter[grpc.StatusCode] = Counter()
    failures: list[BaseException] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                status = server.search()
            except BaseException as error:
                failures.append(error)
                return
            statuses[status] += 1
            if status is not grpc.StatusCode.OK:
                stop.wait(0.05)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield statuses
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert not failures, failures[0]


@pytest.fixture(scope="module")
def repository(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Triton serves here; the search server reads ``tiny_repository``, which stays whole."""
    return shutil.copytree(tiny_repository, tmp_path_factory.mktemp("faults") / "repository")


@pytest.fixture(scope="module")
def fragile(
    local_triton_environment: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalTriton]:
    with serving(repository, tmp_path_factory.mktemp("fragile")) as local_triton:
        assert local_triton.addresses, local_triton.said
        yield local_triton
    assert local_triton.traces() == []  # no process, no shared memory


@pytest.fixture(scope="module")
def search_server(
    fragile: LocalTriton, tiny_index: Path, tiny_repository: Path, tiny_catalogue: Path
) -> Iterator[SearchServer]:
    photo = tiny_catalogue / "queries" / "q03.jpg"
    url = fragile.addresses["grpc"]
    with searching(tiny_index, tiny_repository, url, photo) as server:
        yield server


def kill_one(fragile: LocalTriton, program: str, choose: Callable[[list[int]], int]) -> int:
    """Kill a process of Triton's, whatever it is doing; some live for a moment only."""
    while True:
        eventually(lambda: fragile.pids(program), RECOVER_WITHIN_S)
        with suppress(ProcessLookupError, IndexError):
            victim = choose(sorted(fragile.pids(program)))
            os.kill(victim, signal.SIGKILL)
            return victim


def is_whole(fragile: LocalTriton, victim: int) -> bool:
    """Whether every model has its two processes again, and the killed one is none of them."""
    stubs = fragile.pids(STUB)
    return len(fragile.pids(SERVER)) == 1 and len(stubs) == 4 and victim not in stubs


def is_steady(server: SearchServer) -> bool:
    """Whether both processes of each model answer: four right answers, one after the other."""
    return all(server.is_right() for _ in range(4))


def test_twenty_kills_under_load_are_survived(
    fragile: LocalTriton, search_server: SearchServer
) -> None:
    choose = random.Random(5).choice
    with load(search_server) as statuses:
        for kill in range(KILLS):
            victim = kill_one(fragile, SERVER if kill % 4 == 3 else STUB, choose)
            eventually(lambda victim=victim: is_whole(fragile, victim), RECOVER_WITHIN_S)
            eventually(lambda: is_steady(search_server), RECOVER_WITHIN_S)
        eventually(search_server.is_ready, RECOVER_WITHIN_S)

    assert set(statuses) <= {grpc.StatusCode.OK, *TRUE_WHILE_BROKEN}
    assert statuses[grpc.StatusCode.OK] > KILLS


def corrupt(repository: Path) -> None:
    (repository / "tiny_a" / "1" / "model.onnx").write_bytes(b"no graph")


def other_weights(repository: Path) -> None:
    model = tiny_model(DIMENSIONS["tiny_a"], seed=99)
    onnx.save(model, repository / "tiny_a" / "1" / "model.onnx")


def another_version(repository: Path) -> None:
    shutil.copytree(repository / "tiny_b" / "1", repository / "tiny_b" / "2")


def missing_model(repository: Path) -> None:
    shutil.rmtree(repository / "tiny_a")


@pytest.mark.parametrize("damage", [corrupt, other_weights, another_version, missing_model])
def test_a_triton_that_comes_back_with_other_models_is_not_used(
    fragile: LocalTriton,
    search_server: SearchServer,
    repository: Path,
    tiny_repository: Path,
    damage: Callable[[Path], None],
) -> None:
    assert search_server.is_right()
    damage(repository)
    with load(search_server) as statuses:
        kill_one(fragile, SERVER, min)
        eventually(lambda: not search_server.is_ready(), RECOVER_WITHIN_S)
        asked = sum(statuses.values())
        eventually(lambda: sum(statuses.values()) >= asked + 2 * CALLERS, 30)
    assert set(statuses) <= {grpc.StatusCode.OK, *TRUE_WHILE_BROKEN}
    assert search_server.search() in TRUE_WHILE_BROKEN

    shutil.rmtree(repository)
    shutil.copytree(tiny_repository, repository)
    for pid in fragile.pids(SERVER):  # none where it could not start
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(search_server.is_right, RECOVER_WITHIN_S)
    eventually(search_server.is_ready, RECOVER_WITHIN_S)


def test_a_model_that_is_loaded_again_with_other_weights_is_not_used(
    fragile: LocalTriton, search_server: SearchServer, repository: Path, tiny_repository: Path
) -> None:
    """Nothing of Triton's restarts, no connection breaks: only the answers tell."""
    control = InferenceServerClient(fragile.addresses["grpc"])
    assert search_server.is_right()
    other_weights(repository)

    control.load_model("tiny_a")

    eventually(lambda: search_server.search() in TRUE_WHILE_BROKEN, RECOVER_WITHIN_S)
    eventually(lambda: not search_server.is_ready(), RECOVER_WITHIN_S)
    assert search_server.search() is grpc.StatusCode.UNAVAILABLE
    weights = Path("tiny_a", "1", "model.onnx")
    shutil.copyfile(tiny_repository / weights, repository / weights)
    control.load_model("tiny_a")
    eventually(search_server.is_right, RECOVER_WITHIN_S)
    eventually(search_server.is_ready, RECOVER_WITHIN_S)
    control.close()


def test_searches_at_the_same_time_share_batches_with_one_request_each(
    fragile: LocalTriton, search_server: SearchServer
) -> None:
    def counts(model: str) -> np.ndarray:
        with InferenceServerClient(fragile.addresses["grpc"]) as client:
            (of,) = client.get_inference_statistics(model).model_stats
        return np.array([of.inference_count, of.execution_count, of.inference_stats.success.count])

    before = {model: counts(model) for model in ("tiny", "tiny_a", "tiny_b")}
    callers = [threading.Thread(target=search_server.search, args=(30,)) for _ in range(48)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    # Triton counts after it has answered
    eventually(lambda: (counts("tiny") - before["tiny"])[0] >= 48, RECOVER_WITHIN_S)
    assert (counts("tiny") - before["tiny"])[2] == 48
    for model in ("tiny_a", "tiny_b"):
        images, executions, _ = counts(model) - before[model]
        assert images == 48
        assert executions < images


# A slow model


def slow_model(dimension: int, seed: int) -> onnx.ModelProto:
    """The tiny model; it multiplies large matrices for nothing, for some 0.2 s."""
    model = tiny_model(dimension, seed, is_bare=True)
    square = np.random.default_rng(0).normal(size=(1_500, 1_500)).astype(np.float32)
    constants = {"square": square, "zero": np.float32(0)}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    (last,) = (node for node in model.graph.node if "descriptor" in node.output)
    last.output[0] = "fast"
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["norm"], ["factor"], keepdims=0),  # of the image
            helper.make_node("Mul", ["square", "factor"], ["power_1"]),
            *(
                helper.make_node("MatMul", [f"power_{n}", "square"], [f"power_{n + 1}"])
                for n in range(1, 4)
            ),
            helper.make_node("ReduceMin", ["power_4"], ["waste"], keepdims=0),
            helper.make_node("Mul", ["waste", "zero"], ["nothing"]),
            helper.make_node("Add", ["fast", "nothing"], ["descriptor"]),
        ]
    )
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    add_fingerprint(model)
    return model


@pytest.fixture(scope="module")
def slow_repository(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(tiny_repository, tmp_path_factory.mktemp("slow") / "repository")
    onnx.save(slow_model(DIMENSIONS["tiny_b"], seed=1), root / "tiny_b" / "1" / "model.onnx")
    shutil.copytree(root / "tiny_b", root / "short_queue")
    config = root / "short_queue" / "config.pbtxt"
    text = config.read_text().replace('name: "tiny_b"', 'name: "short_queue"')
    assert "default_queue_policy {" in text
    config.write_text(
        text.replace("default_queue_policy {", "default_queue_policy { max_queue_size: 1")
    )
    return root


@pytest.fixture(scope="module")
def slow_triton(
    local_triton_environment: None, slow_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalTriton]:
    with serving(slow_repository, tmp_path_factory.mktemp("slow_triton")) as local_triton:
        assert local_triton.addresses, local_triton.said
        yield local_triton


@pytest.fixture(scope="module")
def slow_server(
    slow_triton: LocalTriton,
    slow_repository: Path,
    tiny_profile: Profile,
    catalogue_folder: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SearchServer]:
    catalogue, index = catalogue_folder(2, 2), tmp_path_factory.mktemp("slow_index")
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(slow_repository), index).run()
    photo, url = catalogue / "queries" / "q00.jpg", slow_triton.addresses["grpc"]
    with searching(index, slow_repository, url, photo) as server:
        yield server


def test_a_slow_model_is_given_up_at_a_short_deadline_and_answers_a_longer_one(
    slow_server: SearchServer,
) -> None:
    assert slow_server.search(0.05) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert slow_server.search(30) is grpc.StatusCode.OK


def test_a_queue_that_cannot_be_served_in_time_is_answered_with_a_true_status(
    slow_server: SearchServer,
) -> None:
    statuses: Counter[grpc.StatusCode] = Counter()

    def call() -> None:
        statuses[slow_server.search(1.5)] += 1

    callers = [threading.Thread(target=call) for _ in range(40)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert sum(statuses.values()) == 40
    assert statuses[grpc.StatusCode.OK] < 40
    assert set(statuses) <= {grpc.StatusCode.OK, *TRUE_WHILE_BROKEN}
    assert slow_server.search(30) is grpc.StatusCode.OK


def test_a_full_queue_is_overload_and_not_tried_again(slow_triton: LocalTriton) -> None:
    refusals: list[InferenceServerException] = []

    def call() -> None:
        image = InferInput("image", [1, 32, 32, 3], "UINT8")
        image.set_data_from_numpy(np.zeros((1, 32, 32, 3), np.uint8))
        try:
            client.infer("short_queue", [image], client_timeout=30)
        except InferenceServerException as error:
            refusals.append(error)

    with InferenceServerClient(slow_triton.addresses["grpc"]) as client:
        callers = [threading.Thread(target=call) for _ in range(24)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()

    assert refusals
    for refusal in refusals:
        assert not is_transient(refusal)
        error = translated(refusal, "here")
        assert isinstance(error, EngineUnavailableError)
        assert "overloaded" in str(error)
