"""The manifests of ``cpu-dev`` run: the jobs, the real Triton, the real server, smoke test, drain.

No cluster: commands, arguments, environment, probes and the end are the manifests', the processes
are of this machine; see ``kubelet`` for what is mapped and what is left out. Once as it is and once
with certificates and tokens. Triton here is 24.10 with our onnxruntime backend, which the container
has in C++.
"""

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from kubelet import Place, RunningPod, run_job, running
from local_triton import eventually
from manifests import ROOT, Manifests, manifests
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from client import Access
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc

sys.path.insert(0, str(ROOT / "deploy" / "local_triton"))
from environment import set_up
from traces import marked_processes, remove_traces

MARK = "beauty_triton_manifests_"
PATIENCE_S = 30
TOKEN = "a token of the tests".replace(" ", "-")
PAIRS = {"triton": "server", "triton-client": "client", "retrieval": "server"}


@pytest.fixture(scope="module", params=[(), ("tls", "client-tls")], ids=["clear", "tls"])
def rendered(request: pytest.FixtureRequest) -> Manifests:
    return manifests("cpu-dev", request.param)


@pytest.fixture(scope="module")
def secrets(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Secrets of components ``tls`` and ``client-tls`` hold."""
    root = tmp_path_factory.mktemp("secrets")
    for name, pair in PAIRS.items():
        (root / "tls" / name).mkdir(parents=True)
        for source, target in ((f"{pair}.pem", "tls.crt"), (f"{pair}.key", "tls.key")):
            shutil.copy(certificates / source, root / "tls" / name / target)
        shutil.copy(certificates / "ca.pem", root / "tls" / name / "ca.crt")
    shutil.copy(certificates / "ca.pem", root / "tls" / "ca.crt")
    (root / "tokens").mkdir()
    (root / "tokens" / "tokens").write_text(f"the-token-before-this-one\n{TOKEN}\n")
    (root / "tokens" / "smoke-test").write_text(f"{TOKEN}\n")
    return root


@pytest.fixture(scope="module")
def access(rendered: Manifests, secrets: Path) -> Access:
    """How a client gets in."""
    if "RETRIEVAL_TLS_CERT" not in rendered.settings():
        return Access()
    return Access(tls_ca=secrets / "tls" / "ca.crt", token_file=secrets / "tokens" / "smoke-test")


@pytest.fixture(scope="module")
def place(
    local_triton_environment: None,
    rendered: Manifests,
    tiny_repository: Path,
    tiny_index: Path,
    tiny_catalogue: Path,
    tiny_profile_file: Path,
    secrets: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    triton = set_up(ROOT / "build" / "local_triton")
    with ExitStack() as held:
        ports = {
            name: {port["containerPort"]: free_port(held) for port in pods.main["ports"]}
            for name in ("triton", "retrieval")
            for pods in rendered.pods(name)
        }
    own_python = [sys.executable, "-c"]
    return Place(
        programs={
            "tritonserver": [str(triton.tritonserver)],
            "beauty-server": [sys.executable, "-m", "retrieval_server"],
            "beauty-search": [*own_python, "from client.cli import main; main()"],
            "beauty-export": [*own_python, "from export.__main__ import main; main()"],
        },
        paths={
            "/models": tiny_repository,
            "/index": tiny_index,
            "/catalogue/sample": tiny_catalogue,
            "/tmp": tmp_path_factory.mktemp("tmp"),
            "/tls": secrets / "tls",
            "/tokens": secrets / "tokens",
        },
        ports=ports,
        left_out=frozenset({"NUMBA_CACHE_DIR"}),  # here it is warm beside the package
        words={"0.0.0.0": "127.0.0.1", "lite": str(tiny_profile_file)},
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


def test_triton_starts_as_the_manifest_says_and_its_admin_calls_are_locked(
    triton_pod: RunningPod, rendered: Manifests, secrets: Path
) -> None:
    own = secrets / "tls" / "triton-client"
    files = {
        "root_certificates": "ca.crt",
        "private_key": "tls.key",
        "certificate_chain": "tls.crt",
    }
    tls = {name: str(own / file) for name, file in files.items()}
    has_tls = "RETRIEVAL_TRITON_TLS_CERT" in rendered.settings()

    with InferenceServerClient(
        triton_pod.address("grpc"), ssl=has_tls, **(tls if has_tls else {})
    ) as client:
        assert client.is_model_ready("tiny")
        for locked in (
            client.get_model_repository_index,
            lambda: client.get_model_config("tiny"),
            lambda: client.unload_model("tiny"),
            client.get_system_shared_memory_status,
        ):
            with pytest.raises(InferenceServerException, match="restricted"):
                locked()
    url = f"http://{triton_pod.address('http')}/v2/models/tiny"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url, timeout=PATIENCE_S)


def test_triton_wants_a_certificate_where_there_is_tls(
    triton_pod: RunningPod, rendered: Manifests, secrets: Path
) -> None:
    has_tls = "RETRIEVAL_TRITON_TLS_CERT" in rendered.settings()
    known = {"root_certificates": str(secrets / "tls" / "ca.crt")} if has_tls else {}

    with InferenceServerClient(triton_pod.address("grpc"), ssl=has_tls, **known) as client:
        if not has_tls:
            assert client.is_model_ready("tiny", client_timeout=PATIENCE_S)
            return
        with pytest.raises(InferenceServerException):
            client.is_model_ready("tiny", client_timeout=5)


def test_a_job_describes_its_shard_through_triton(
    rendered: Manifests, place: Place, triton_pod: RunningPod, tmp_path: Path
) -> None:
    here = replace(place, paths={**place.paths, "/index": tmp_path})

    done = run_job(rendered, "extract-descriptors", here, JOB_COMPLETION_INDEX="1")

    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / ".shards").iterdir()] == ["shard-00001-of-00002"]


def test_the_jobs_make_the_index_that_one_run_makes(
    rendered: Manifests, place: Place, triton_pod: RunningPod, tiny_index: Path, tmp_path: Path
) -> None:
    """Described through Triton in shards and merged, it is the very version that one run made."""
    here = replace(place, paths={**place.paths, "/index": tmp_path})

    rebuilt = run_job(rendered, "rebuild-index", here)
    assert rebuilt.returncode == 0, rebuilt.stderr
    merged = run_job(rendered, "merge-index", here)

    assert (tmp_path / "current").read_text() == (tiny_index / "current").read_text()
    assert merged.returncode == 0, merged.stderr
    assert "nothing to do" in merged.stderr


def test_the_server_answers_and_tells_prometheus(retrieval_pod: RunningPod) -> None:
    url = f"http://{retrieval_pod.address('metrics')}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert "beauty_ready 1.0" in answer.read().decode()


def test_the_smoke_test_finds_what_it_knows(
    rendered: Manifests, place: Place, retrieval_pod: RunningPod
) -> None:
    done = run_job(rendered, "smoke-test", place)

    assert done.returncode == 0, done.stderr


def test_the_server_drains_within_its_grace_and_loses_no_search(
    rendered: Manifests, retrieval_pod: RunningPod, access: Access, tiny_catalogue: Path
) -> None:
    """It says NOT_SERVING at once, serves on for a while, finishes what it has, and exits 0."""
    request = pb.SearchRequest(image=(tiny_catalogue / "queries" / "q00.jpg").read_bytes())
    address, credentials = retrieval_pod.address("grpc"), access.credentials()
    answered: list[tuple[float, grpc.StatusCode]] = []

    def ask() -> None:
        open_channel = (
            grpc.insecure_channel(address)
            if credentials is None
            else grpc.secure_channel(address, credentials)
        )
        with open_channel as channel:
            stub = pb_grpc.RetrievalServiceStub(channel)
            while not answered or answered[-1][1] is grpc.StatusCode.OK:
                status = grpc.StatusCode.OK
                try:
                    stub.Search(request, timeout=PATIENCE_S, metadata=access.metadata())
                except grpc.RpcError as error:
                    status = error.code()
                answered.append((time.monotonic(), status))

    caller = threading.Thread(target=ask)
    caller.start()
    eventually(lambda: len(answered) > 3, PATIENCE_S)
    told = time.monotonic()
    watcher = threading.Thread(
        target=eventually, args=(lambda: not retrieval_pod.passes("readiness"), PATIENCE_S)
    )
    watcher.start()
    left = retrieval_pod.end()
    caller.join()
    watcher.join()

    *before, (ended, last) = answered
    assert left > 0
    assert {code for _, code in before} == {grpc.StatusCode.OK}
    # gRPC cancels a call that comes in at the very moment of closing, and refuses the next ones
    assert last in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert ended - told >= float(rendered.settings()["RETRIEVAL_DRAIN_DELAY_S"])
    assert any(at > told for at, _ in before)


def test_triton_ends_within_its_grace_and_leaves_nothing(triton_pod: RunningPod) -> None:
    assert triton_pod.end() > 0
    assert marked_processes(MARK) == {}


def test_every_flag_is_one_that_triton_knows(local_triton_environment: None) -> None:
    program = set_up(ROOT / "build" / "local_triton").tritonserver
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    known = {word for word in (said.stdout + said.stderr).split() if word.startswith("--")}

    for overlay, parts in (("cpu-dev", ()), ("gpu-prod", ("tls",))):
        for word in manifests(overlay, parts).pods("triton")[0].main["args"]:
            assert word.partition("=")[0] in known, word
