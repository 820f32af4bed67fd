"""A real Triton, without Docker, serves our model repository and keeps doing so."""

import importlib.util
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.support.local_triton import SERVE, LocalTriton, serving
from tests.support.patience import eventually

BACKBONES = ("tiny_a", "tiny_b")


@pytest.fixture(scope="module")
def wounded(
    local_triton_environment: None,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalTriton]:
    """Another one, for the tests that kill parts of it."""
    with serving(tiny_repository, tmp_path_factory.mktemp("wounded")) as local_triton:
        assert local_triton.addresses, local_triton.log
        yield local_triton


@pytest.fixture(scope="session")
def sessions(tiny_repository: Path) -> dict[str, onnxruntime.InferenceSession]:
    return {
        model: onnxruntime.InferenceSession(tiny_repository / model / "1" / "model.onnx")
        for model in BACKBONES
    }


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (4, 32, 32, 3), np.uint8)


def answers_right(local_triton: LocalTriton, images, sessions) -> bool:
    try:
        answer = local_triton.infer("tiny", images)
    except InferenceServerException:
        return False
    for model, session in sessions.items():
        np.testing.assert_array_equal(answer[model], session.run(None, {"image": images})[0])
    return True


def test_every_model_is_ready_once_the_addresses_are_written(triton):
    with InferenceServerClient(triton.addresses["grpc"]) as client:
        assert client.is_server_ready()
        assert all(client.is_model_ready(model) for model in (*BACKBONES, "tiny"))
    assert triton.addresses["pid"] == triton.process.pid


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("model", BACKBONES)
def test_a_model_answers_as_onnxruntime_does_bit_for_bit(triton, sessions, images, model, count):
    answer = triton.infer(model, images[:count])

    expected = sessions[model].run(None, {"image": images[:count]})[0]
    np.testing.assert_array_equal(answer["descriptor"], expected)
    assert answer["descriptor"].dtype == np.float32


@pytest.mark.parametrize("count", [1, 3])
def test_the_ensemble_gives_every_backbones_descriptors(triton, sessions, images, count):
    assert answers_right(triton, images[:count], sessions)


def test_only_the_outputs_asked_for_come_back(triton, images):
    assert list(triton.infer("tiny", images[:1], outputs=("tiny_b",))) == ["tiny_b"]


def test_requests_at_the_same_time_are_computed_together(triton, sessions, images):
    def counts():
        with InferenceServerClient(triton.addresses["grpc"]) as client:
            statistics = client.get_inference_statistics("tiny_a").model_stats[0]
        return np.array([statistics.inference_count, statistics.execution_count])

    before = counts()
    with ThreadPoolExecutor(16) as pool:
        asked = [images[index % 4][None] for index in range(64)]
        answers = list(pool.map(lambda each: triton.infer("tiny_a", each), asked))
    requests, executions = counts() - before

    assert requests == 64
    assert executions < requests
    expected = sessions["tiny_a"].run(None, {"image": images})[0]
    for index, answer in enumerate(answers):
        np.testing.assert_array_equal(answer["descriptor"][0], expected[index % 4])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 31, 32, 3), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((9, 32, 32, 3), np.uint8),
    ],
    ids=["shape", "dtype", "batch"],
)
def test_a_wrong_input_is_an_invalid_argument(triton, wrong):
    with pytest.raises(InferenceServerException) as error:
        triton.infer("tiny", wrong)

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_killed_stub_is_replaced(wounded, sessions, images):
    assert answers_right(wounded, images, sessions)
    stubs = set(wounded.pids("triton_python_backend_stub"))
    victim = min(stubs)

    os.kill(victim, signal.SIGKILL)

    eventually(
        lambda: len(set(wounded.pids("triton_python_backend_stub")) - {victim}) == len(stubs),
    )
    eventually(lambda: answers_right(wounded, images, sessions))
    eventually(lambda: "had 1 of 2 stubs; loaded again" in wounded.log)


def test_a_killed_tritonserver_comes_back_on_the_same_ports(wounded, sessions, images):
    (victim,) = wounded.pids("bin/tritonserver")
    its_stubs = set(wounded.pids("triton_python_backend_stub"))

    os.kill(victim, signal.SIGKILL)

    eventually(lambda: victim not in wounded.pids())
    eventually(lambda: answers_right(wounded, images, sessions))
    assert its_stubs.isdisjoint(wounded.pids())
    eventually(lambda: "tritonserver ended (-9); started again" in wounded.log)


def test_sigterm_ends_it_and_leaves_nothing(wounded):
    assert len(wounded.pids()) >= 3

    wounded.process.send_signal(signal.SIGTERM)

    assert wounded.wait_for_end() == 0
    assert wounded.traces() == []
    assert not wounded.address_file.exists()


@pytest.mark.usefixtures("local_triton_environment")
def test_nothing_is_left_when_serve_itself_is_killed(tiny_repository, tmp_path):
    with serving(tiny_repository, tmp_path, "--models", "tiny_a") as local_triton:
        assert len(local_triton.pids()) >= 2, local_triton.log

        local_triton.process.kill()

        eventually(lambda: not local_triton.traces())


@pytest.mark.usefixtures("local_triton_environment")
def test_a_model_that_cannot_be_loaded_is_named_in_one_line(tiny_repository, tmp_path):
    repository = shutil.copytree(tiny_repository, tmp_path / "repository")
    (repository / "tiny_a" / "1" / "model.onnx").write_bytes(b"not a graph")
    config = repository / "tiny_b" / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: 16", "dims: 17"))

    with serving(repository, tmp_path, "--models", "tiny_a", "tiny_b") as local_triton:
        assert local_triton.wait_for_end() == 1

    (line,) = local_triton.error_lines
    assert "Cannot load tiny_a" in line
    assert "INVALID_PROTOBUF" in line
    assert "output 'descriptor' is TYPE_FP32 [-1, 17] in the configuration" in line
    assert local_triton.traces() == []


@pytest.mark.usefixtures("local_triton_environment")
def test_a_port_in_use_is_an_error_that_names_it(tiny_repository, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        with serving(tiny_repository, tmp_path, "--http-port", port) as local_triton:
            assert local_triton.wait_for_end() == 1

    (line,) = local_triton.error_lines
    assert f"127.0.0.1:{port} (--http-port): Address already in use" in line


@pytest.mark.usefixtures("local_triton_environment")
def test_a_start_that_hangs_is_given_up(tmp_path):
    # Triton waits for ever for a stub that cannot start; here, its environment cannot be activated
    repository, broken = tmp_path / "repository", tmp_path / "broken_environment"
    (broken / "bin").mkdir(parents=True)
    (broken / "bin" / "activate").write_text("exit 1\n")
    (repository / "stuck" / "1").mkdir(parents=True)
    (repository / "stuck" / "1" / "model.py").touch()
    (repository / "stuck" / "config.pbtxt").write_text(
        'backend: "python" default_model_filename: "model.py" max_batch_size: 0 '
        f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{broken}" }} }}'
    )

    with serving(repository, tmp_path, "--startup-timeout-s", "3") as local_triton:
        assert local_triton.wait_for_end() == 1

    (line,) = local_triton.error_lines
    assert "not ready after 3 s" in line
    assert "not loaded yet: stuck" in line
    assert local_triton.traces() == []


@pytest.mark.usefixtures("local_triton_environment")
def test_complete_models_are_served_and_the_others_named(
    tiny_repository, sessions, images, tmp_path
):
    repository = shutil.copytree(tiny_repository, tmp_path / "repository")
    (repository / "tiny_b" / "1" / "model.onnx").unlink()
    shutil.copytree(tiny_repository / "tiny_a" / "1", repository / "bare" / "1")
    (repository / "bare" / "1" / "model.onnx").rename(repository / "bare" / "1" / "graph.onnx")
    (repository / "bare" / "config.pbtxt").write_text(
        'backend: "onnxruntime" default_model_filename: "graph.onnx" '
        "instance_group [ { count: 2 } ] "
        'parameters { key: "intra_op_thread_count" value { string_value: "1" } } '
        'parameters { key: "session.intra_op.allow_spinning" value { string_value: "0" } } '
        'model_warmup { name: "zeros" batch_size: 2 inputs { key: "image" value { '
        "data_type: TYPE_UINT8 dims: [ 32, 32, 3 ] zero_data: true } } }"
    )

    with serving(repository, tmp_path) as local_triton:
        answer = local_triton.infer("bare", images[:2])
        with InferenceServerClient(local_triton.addresses["grpc"]) as client:
            config = client.get_model_config("bare").config
            assert client.is_model_ready("tiny_a")
            assert not client.is_model_ready("tiny_b")
            assert not client.is_model_ready("tiny")
        stubs = local_triton.pids("triton_python_backend_stub")

    expected = sessions["tiny_a"].run(None, {"image": images[:2]})[0]
    np.testing.assert_allclose(answer["descriptor"], expected, atol=1e-6)
    assert list(config.input[0].dims) == [32, 32, 3]
    assert list(config.output[0].dims) == [24]
    assert config.max_batch_size == 4
    assert len(stubs) == 4  # two of tiny_a, two of bare
    assert "skipped tiny_b: no file 1/model.onnx" in local_triton.log
    assert "skipped tiny: its members tiny_b cannot be served" in local_triton.log


@pytest.mark.usefixtures("local_triton_environment")
def test_a_chosen_model_that_is_not_built_is_refused(tiny_repository, tmp_path):
    with serving(tiny_repository, tmp_path, "--models", "tiny", "large") as local_triton:
        assert local_triton.wait_for_end() == 1

    assert local_triton.error_lines == [
        "error: Cannot serve large: no such folder. Complete models: tiny, tiny_a, tiny_b"
    ]


def test_the_backend_refuses_numpy_2_which_would_give_wrong_tensors(monkeypatch):
    fake = SimpleNamespace(TritonModelException=type("TritonModelException", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    path = SERVE.parent / "backends" / "onnxruntime" / "model.py"
    spec = importlib.util.spec_from_file_location("triton_onnxruntime_backend", path)
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)

    with pytest.raises(fake.TritonModelException, match="install NumPy 1"):
        backend.refuse_numpy_2()
