"""A Triton whose model is slow: deadlines and a full queue are answered with a true status."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
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
from tests.support.local_triton import LocalTriton, serving
from tests.support.patience import PATIENCE_S
from tests.support.search_server import TRUE_WHILE_BROKEN, SearchServer, searching
from tests.support.tiny_world import DIMENSIONS, tiny_model

pytestmark = pytest.mark.usefixtures("local_triton_environment")


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
        assert local_triton.addresses, local_triton.log
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
    assert slow_server.search(PATIENCE_S) is grpc.StatusCode.OK


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
    assert slow_server.search(PATIENCE_S) is grpc.StatusCode.OK


def test_a_full_queue_is_overload_and_not_tried_again(slow_triton: LocalTriton) -> None:
    refusals: list[InferenceServerException] = []

    def call() -> None:
        image = InferInput("image", [1, 32, 32, 3], "UINT8")
        image.set_data_from_numpy(np.zeros((1, 32, 32, 3), np.uint8))
        try:
            client.infer("short_queue", [image], client_timeout=PATIENCE_S)
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
