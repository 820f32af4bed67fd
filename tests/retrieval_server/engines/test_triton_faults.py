"""A search server over a real Triton: what its callers see while things break.

Each call ends within its deadline, with the right result or with a status that is true; never with
a wrong result.
"""

import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from tritonclient.grpc import InferenceServerClient

from tests.support.local_triton import LocalTriton, serving
from tests.support.patience import PATIENCE_S, eventually
from tests.support.search_server import TRUE_WHILE_BROKEN, SearchServer, searching
from tests.support.tiny_world import DIMENSIONS, tiny_model

pytestmark = pytest.mark.usefixtures("local_triton_environment")
KILLS = 20
CALLERS = 3
STUB, SERVER = "triton_python_backend_stub", "bin/tritonserver"


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
        assert local_triton.addresses, local_triton.log
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
        eventually(lambda: fragile.pids(program))
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
            eventually(lambda victim=victim: is_whole(fragile, victim))
            eventually(lambda: is_steady(search_server))
        eventually(search_server.is_ready)

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
    eventually(search_server.is_right)
    damage(repository)
    with load(search_server) as statuses:
        kill_one(fragile, SERVER, min)
        eventually(lambda: not search_server.is_ready())
        asked = sum(statuses.values())
        eventually(lambda: sum(statuses.values()) >= asked + 2 * CALLERS)
    assert set(statuses) <= {grpc.StatusCode.OK, *TRUE_WHILE_BROKEN}
    assert search_server.search() in TRUE_WHILE_BROKEN

    shutil.rmtree(repository)
    shutil.copytree(tiny_repository, repository)
    for pid in fragile.pids(SERVER):  # none where it could not start
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(search_server.is_right)
    eventually(search_server.is_ready)


def test_a_model_that_is_loaded_again_with_other_weights_is_not_used(
    fragile: LocalTriton, search_server: SearchServer, repository: Path, tiny_repository: Path
) -> None:
    """Nothing of Triton's restarts, no connection breaks: only the answers tell."""
    control = InferenceServerClient(fragile.addresses["grpc"])
    eventually(search_server.is_right)
    other_weights(repository)

    control.load_model("tiny_a")

    eventually(lambda: search_server.search() in TRUE_WHILE_BROKEN)
    eventually(lambda: not search_server.is_ready())
    assert search_server.search() is grpc.StatusCode.UNAVAILABLE
    weights = Path("tiny_a", "1", "model.onnx")
    shutil.copyfile(tiny_repository / weights, repository / weights)
    control.load_model("tiny_a")
    eventually(search_server.is_right)
    eventually(search_server.is_ready)
    control.close()


def test_searches_at_the_same_time_share_batches_with_one_request_each(
    fragile: LocalTriton, search_server: SearchServer
) -> None:
    def counts(model: str) -> np.ndarray:
        with InferenceServerClient(fragile.addresses["grpc"]) as client:
            (of,) = client.get_inference_statistics(model).model_stats
        return np.array([of.inference_count, of.execution_count, of.inference_stats.success.count])

    before = {model: counts(model) for model in ("tiny", "tiny_a", "tiny_b")}
    callers = [threading.Thread(target=search_server.search, args=(PATIENCE_S,)) for _ in range(48)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    # Triton counts after it has answered
    eventually(lambda: (counts("tiny") - before["tiny"])[0] >= 48)
    assert (counts("tiny") - before["tiny"])[2] == 48
    for model in ("tiny_a", "tiny_b"):
        images, executions, _ = counts(model) - before[model]
        assert images == 48
        assert executions < images
