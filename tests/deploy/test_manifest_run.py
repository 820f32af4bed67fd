"""The manifests of ``cpu-dev`` run: the jobs, the real Triton, the real server, smoke test, drain.

No cluster: commands, arguments, environment, probes and the end are the manifests', the processes
are of this machine; see ``kubelet`` for what is mapped and what is left out. Once as it is and once
with certificates, tokens and traces. Triton here is 24.10 with our onnxruntime backend, which the
container has in C++.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from client import Access
from deploy.policies.rendering import ROOT, Manifests, manifests
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.access import replace as replace_file
from tests.support.access import shown_certificate
from tests.support.deploy.collector import Collector, Span, collecting
from tests.support.deploy.kubelet import Place, RunningPod, run_job, running
from tests.support.deploy.place import (
    MARK,
    access_to,
    channel_to,
    collector_host,
    place_on_this_machine,
    tls_of_triton_s_clients,
    write_secrets,
)
from tests.support.index_files import index_files
from tests.support.patience import PATIENCE_S, eventually

sys.path.insert(0, str(ROOT / "deploy" / "local_triton"))
from environment import set_up
from traces import marked_processes, remove_traces

CALLER = "00f067aa0ba902b7"  # a span's
TRACES = 20  # Triton 24.10 overlooks some of those that it is told


@pytest.fixture(
    scope="module",
    params=[("web",), ("tls", "web", "client-tls", "tracing")],
    ids=["clear", "tls"],
)
def rendered(request: pytest.FixtureRequest) -> Manifests:
    return manifests("cpu-dev", request.param)


@pytest.fixture(scope="module")
def secrets(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Secrets of components ``tls`` and ``client-tls`` hold."""
    root = tmp_path_factory.mktemp("secrets")
    write_secrets(certificates, root)
    return root


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def access(rendered: Manifests, secrets: Path) -> Access:
    return access_to(rendered, secrets)


@pytest.fixture(scope="module")
def place(
    local_triton_environment: None,
    rendered: Manifests,
    tiny_repository: Path,
    tiny_index: Path,
    tiny_catalogue: Path,
    tiny_profile_file: Path,
    secrets: Path,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    paths = {
        "/models": tiny_repository,
        "/index": tiny_index,
        "/catalogue/sample": tiny_catalogue,
        "/tmp": tmp_path_factory.mktemp("tmp"),
        "/tls": secrets / "tls",
        "/tokens": secrets / "tokens",
    }
    return place_on_this_machine(rendered, paths, tiny_profile_file, collector)


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


@pytest.fixture
def triton_client(
    triton_pod: RunningPod, rendered: Manifests, secrets: Path
) -> Iterator[InferenceServerClient]:
    """A client with the certificate of those that ask Triton, where there is TLS."""
    has_tls = "RETRIEVAL_TRITON_TLS_CERT" in rendered.settings()
    tls = tls_of_triton_s_clients(secrets) if has_tls else {}
    with InferenceServerClient(triton_pod.address("grpc"), ssl=has_tls, **tls) as client:
        yield client


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
    triton_pod: RunningPod, triton_client: InferenceServerClient
) -> None:
    assert triton_client.is_model_ready("tiny")
    for locked in (
        triton_client.get_model_repository_index,
        lambda: triton_client.get_model_config("tiny"),
        lambda: triton_client.unload_model("tiny"),
        triton_client.get_system_shared_memory_status,
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


def test_triton_adds_its_part_to_a_trace_and_begins_none(
    rendered: Manifests, triton_client: InferenceServerClient, collector: Collector
) -> None:
    """A request without a trace, as the first one here, is not traced."""
    images = InferInput("image", [1, 32, 32, 3], "UINT8")
    images.set_data_from_numpy(np.zeros((1, 32, 32, 3), np.uint8))
    traces = [f"3{n:031x}" for n in range(TRACES)]

    triton_client.infer("tiny", [images])
    for trace_id in traces:
        told = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
        triton_client.infer("tiny", [images], headers=told)

    if collector_host(rendered) is None:
        assert collector.spans == []
        return
    names = {"InferRequest", "tiny", "tiny_a", "tiny_b", "compute"}

    def whole() -> list[list[Span]]:
        found = (collector.of_trace(trace_id, "beauty-triton") for trace_id in traces)
        return [spans for spans in found if {each.name for each in spans} == names]

    eventually(whole)
    for spans in whole():
        assert [each.parent_id for each in spans if each.name == "InferRequest"] == [CALLER]
    assert {each.service for each in collector.spans} == {"beauty-triton"}
    assert {each.trace_id for each in collector.spans} <= set(traces)


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
    """In shards and merged, or in one job, it has the very files that one run made.

    The manifests differ: it is Triton that decides what it computes in.
    """
    here = replace(place, paths={**place.paths, "/index": tmp_path})

    for shard in ("0", "1"):
        described = run_job(rendered, "extract-descriptors", here, JOB_COMPLETION_INDEX=shard)
        assert described.returncode == 0, described.stderr
    merged = run_job(rendered, "merge-index", here)
    assert merged.returncode == 0, merged.stderr
    assert index_files(tmp_path) == index_files(tiny_index)
    assert not (tmp_path / ".shards").exists()

    merged_version = (tmp_path / "current").read_text()
    rebuilt = run_job(rendered, "rebuild-index", here)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert (tmp_path / "current").read_text() == merged_version
    again = run_job(rendered, "rebuild-index", here)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr


def test_the_server_answers_and_tells_prometheus(retrieval_pod: RunningPod) -> None:
    url = f"http://{retrieval_pod.address('metrics')}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert "beauty_ready 1.0" in answer.read().decode()


def test_the_smoke_test_finds_what_it_knows(
    rendered: Manifests, place: Place, retrieval_pod: RunningPod
) -> None:
    done = run_job(rendered, "smoke-test", place)

    assert done.returncode == 0, done.stderr


def test_the_page_searches_and_ends_within_its_grace(
    rendered: Manifests,
    place: Place,
    retrieval_pod: RunningPod,
    access: Access,
    tiny_catalogue: Path,
    tmp_path: Path,
) -> None:
    photo = (tiny_catalogue / "queries" / "q00.jpg").read_bytes()

    with running(rendered, "web", place, tmp_path) as pod:
        pod.start_up()
        url = f"http://{pod.address('http')}/api/search"
        with urllib.request.urlopen(url, data=photo, timeout=PATIENCE_S) as answer:
            results = json.load(answer)["results"]
        assert pod.end() > 0

    request = pb.SearchRequest(image=photo)
    with channel_to(retrieval_pod.address("grpc"), access) as channel:
        found = pb_grpc.RetrievalServiceStub(channel).Search(
            request, timeout=PATIENCE_S, metadata=access.metadata()
        )
    assert [each["product_id"] for each in results] == [each.product_id for each in found.results]


def test_a_search_is_one_trace_in_both_servers_or_in_none(
    rendered: Manifests,
    retrieval_pod: RunningPod,
    access: Access,
    collector: Collector,
    tiny_catalogue: Path,
) -> None:
    """The caller decides, for each search; Triton does not see every trace that it is told."""
    request = pb.SearchRequest(image=(tiny_catalogue / "queries" / "q00.jpg").read_bytes())
    left_out, sampled = ([f"{way}{n:031x}" for n in range(TRACES)] for way in (1, 2))

    with channel_to(retrieval_pod.address("grpc"), access) as channel:
        stub = pb_grpc.RetrievalServiceStub(channel)
        for pair in zip(left_out, sampled, strict=True):
            for trace_id, flags in zip(pair, ("00", "01"), strict=True):
                trace = ("traceparent", f"00-{trace_id}-{CALLER}-{flags}")
                stub.Search(request, timeout=PATIENCE_S, metadata=[*access.metadata(), trace])

    if collector_host(rendered) is None:
        assert collector.spans == []
        return
    eventually(
        lambda: (
            all(collector.of_trace(each, "beauty-server") for each in sampled)
            and any(collector.joined(each, "beauty-triton", "beauty-server") for each in sampled)
        ),
    )
    assert not {each.trace_id for each in collector.spans} & set(left_out)


def test_the_server_drains_within_its_grace_and_loses_no_search(
    rendered: Manifests, retrieval_pod: RunningPod, access: Access, tiny_catalogue: Path
) -> None:
    """It says NOT_SERVING at once, serves on for a while, finishes what it has, and exits 0."""
    request = pb.SearchRequest(image=(tiny_catalogue / "queries" / "q00.jpg").read_bytes())
    answered: list[tuple[float, grpc.StatusCode]] = []

    def ask() -> None:
        with channel_to(retrieval_pod.address("grpc"), access) as channel:
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
    eventually(lambda: len(answered) > 3)
    told = time.monotonic()
    watcher = threading.Thread(
        target=eventually, args=(lambda: not retrieval_pod.passes("readiness"),)
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
    assert triton_pod.passes("liveness")
    assert triton_pod.end() > 0
    assert marked_processes(MARK) == {}


def test_triton_starts_again_in_time_to_show_a_renewed_certificate(
    rendered: Manifests, place: Place, certificates: Path, secrets: Path, tmp_path: Path
) -> None:
    """The liveness probe of an old pod fails, though Triton lives."""
    if "RETRIEVAL_TRITON_TLS_CERT" not in rendered.settings():
        pytest.skip("without TLS, there is nothing to renew")

    try:
        with running(rendered, "triton", place, tmp_path) as pod:
            pod.start_up()
            first = shown_certificate(pod.address("grpc"))
            for name, file in (("client.key", "tls.key"), ("client.pem", "tls.crt")):
                content = (certificates / name).read_bytes()
                replace_file(secrets / "tls" / "triton" / file, content)
            assert shown_certificate(pod.address("grpc")) == first

            in_25_days = {**pod.env, "RESTART_AFTER_S": "0", "RESTART_SPREAD_S": "1"}
            assert pod.passes("liveness")
            assert not replace(pod, env=in_25_days).passes("liveness")
            pod.end()
        with running(rendered, "triton", place, tmp_path) as pod:
            pod.start_up()
            assert shown_certificate(pod.address("grpc")) not in (None, first)
    finally:
        remove_traces(MARK)


def test_every_flag_is_one_that_triton_knows(local_triton_environment: None) -> None:
    program = set_up(ROOT / "build" / "local_triton").tritonserver
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    known = {word for word in (shown.stdout + shown.stderr).split() if word.startswith("--")}

    for overlay, parts in (("cpu-dev", ()), ("gpu-prod", ("tls", "tracing"))):
        for word in manifests(overlay, parts).pods("triton")[0].main["args"]:
            assert word.partition("=")[0] in known, word
