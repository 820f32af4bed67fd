"""The manifests of ``cpu-dev`` run: the real Triton, the real server, the smoke test, the drain.

No cluster: commands, arguments, environment, probes and the end are the manifests', the processes
are of this machine; see ``kubelet`` for what is mapped and what is left out. Triton here is 24.10
with our onnxruntime backend, which the container has in C++.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from kubelet import Place, RunningPod, run_job, running
from local_triton import eventually
from manifests import ROOT, Manifests, manifests

from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

sys.path.insert(0, str(ROOT / "deploy" / "local_triton"))
from environment import set_up
from traces import marked_processes, remove_traces

MARK = "beauty_triton_manifests_"
PATIENCE_S = 30


@pytest.fixture(scope="module")
def rendered() -> Manifests:
    return manifests("cpu-dev")


@pytest.fixture(scope="module")
def place(
    local_triton_environment: None,
    rendered: Manifests,
    tiny_repository: Path,
    tiny_index: Path,
    tiny_catalogue: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    triton = set_up(ROOT / "build" / "local_triton")
    with ExitStack() as held:
        ports = {
            name: {port["containerPort"]: free_port(held) for port in pods.main["ports"]}
            for name in ("triton", "retrieval")
            for pods in rendered.pods(name)
        }
    return Place(
        programs={
            "tritonserver": [str(triton.tritonserver)],
            "beauty-server": [sys.executable, "-m", "retrieval_server"],
            "beauty-search": [sys.executable, "-c", "from client.cli import main; main()"],
        },
        paths={
            "/models": tiny_repository,
            "/index": tiny_index,
            "/catalogue/sample": tiny_catalogue,
            "/var/cache/numba": tmp_path_factory.mktemp("numba"),
            "/tmp": tmp_path_factory.mktemp("tmp"),
        },
        ports=ports,
        more_arguments={
            "tritonserver": [
                f"--backend-directory={triton.backends}",
                f"--cache-directory={triton.triton / 'caches'}",
                f"--backend-config=python,shm-region-prefix-name={MARK}",
                *(f"--{each}-address=127.0.0.1" for each in ("grpc", "http", "metrics")),
            ]
        },
    )


def free_port(held: ExitStack) -> int:
    """A port nobody has, held until all are chosen."""
    holder = held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])


@pytest.fixture(scope="module")
def triton_pod(
    rendered: Manifests, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPod]:
    try:
        with running(rendered, "triton", place, tmp_path_factory.mktemp("triton_pod")) as pod:
            pod.start_up()
            yield pod
    finally:
        remove_traces(MARK)


@pytest.fixture(scope="module")
def retrieval_pod(
    rendered: Manifests,
    place: Place,
    triton_pod: RunningPod,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPod]:
    with running(rendered, "retrieval", place, tmp_path_factory.mktemp("retrieval_pod")) as pod:
        pod.start_up()
        yield pod


def test_every_flag_is_one_that_triton_knows(place: Place) -> None:
    (program,) = place.programs["tritonserver"]
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    known = {word for word in (said.stdout + said.stderr).split() if word.startswith("--")}

    for overlay, parts in (("cpu-dev", ()), ("gpu-prod", ("tls",))):
        for word in manifests(overlay, parts).pods("triton")[0].main["args"]:
            assert word.partition("=")[0] in known, word


def test_triton_starts_as_the_manifest_says_and_its_admin_calls_are_locked(
    triton_pod: RunningPod,
) -> None:
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.utils import InferenceServerException

    with InferenceServerClient(triton_pod.address("grpc")) as client:
        assert client.is_model_ready("tiny")
        for locked in (
            client.get_model_repository_index,
            lambda: client.get_model_config("tiny"),
            lambda: client.unload_model("tiny"),
            client.get_system_shared_memory_status,
        ):
            with pytest.raises(InferenceServerException, match="restricted"):
                locked()


def test_the_server_answers_and_tells_prometheus(retrieval_pod: RunningPod) -> None:
    import urllib.request

    url = f"http://{retrieval_pod.address('metrics')}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert "beauty_ready 1.0" in answer.read().decode()


def test_the_smoke_test_finds_what_it_knows(
    rendered: Manifests, place: Place, retrieval_pod: RunningPod
) -> None:
    done = run_job(rendered, "smoke-test", place)

    assert done.returncode == 0, done.stderr


def test_the_server_drains_within_its_grace_and_loses_no_search(
    retrieval_pod: RunningPod, tiny_catalogue: Path
) -> None:
    """It says NOT_SERVING at once, serves on for a while, finishes what it has, and exits 0."""
    photo = (tiny_catalogue / "queries" / "q00.jpg").read_bytes()
    answered: list[tuple[float, grpc.StatusCode]] = []
    stop = threading.Event()

    def ask() -> None:
        with grpc.insecure_channel(retrieval_pod.address("grpc")) as channel:
            stub = pb_grpc.RetrievalServiceStub(channel)
            while not stop.is_set():
                try:
                    stub.Search(pb.SearchRequest(image=photo), timeout=PATIENCE_S)
                    answered.append((time.monotonic(), grpc.StatusCode.OK))
                except grpc.RpcError as error:
                    answered.append((time.monotonic(), error.code()))
                    return

    caller = threading.Thread(target=ask)
    caller.start()
    eventually(lambda: len(answered) > 3, PATIENCE_S)
    told = time.monotonic()
    watcher = threading.Thread(
        target=eventually, args=(lambda: not retrieval_pod.passes("readiness"), PATIENCE_S)
    )
    watcher.start()
    left = retrieval_pod.end()
    stop.set()
    caller.join()
    watcher.join()

    delay = float(manifests("cpu-dev").settings()["RETRIEVAL_DRAIN_DELAY_S"])
    assert left > 0
    failed = [(at - told, code) for at, code in answered if code is not grpc.StatusCode.OK]
    assert all(after >= delay for after, _ in failed), failed
    assert {code for _, code in failed} <= {grpc.StatusCode.UNAVAILABLE}
    assert any(at > told for at, code in answered if code is grpc.StatusCode.OK)


def test_triton_ends_within_its_grace_and_leaves_nothing(triton_pod: RunningPod) -> None:
    assert triton_pod.end() > 0
    assert marked_processes(MARK) == {}
