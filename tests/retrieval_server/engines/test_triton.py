"""The engine ``triton``: what it asks of a real Triton, and what it makes of every fault.

What it shares with the other engine is in ``test_engines.py``.
"""

import asyncio
import re
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient
from typer.testing import CliRunner

from export.cli import app as export_app
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import Engine, TritonConnection
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
)
from retrieval_server.index.publish import open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.serving import server as server_module
from retrieval_server.serving.server import start_server
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.fake_triton import FakeTriton, Fault, fake_triton, metadata_of

PATIENCE_S = 30  # no test waits so long unless it fails
SIDE = 32
ENSEMBLE = "tiny"
MAX_BATCH_SIZE = 4
ROUNDED_UP = 1.02  # gRPC sends a deadline rounded up to a few digits: 30 s may arrive as 30.1

Descriptors = dict[str, NDArray[np.float32]]


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def open_triton(repository: Path, url: str, timeout_s: float = PATIENCE_S, **rest: object):
    connection = TritonConnection(url=url, timeout_s=timeout_s, **rest)
    return create_engine(
        "triton", repository, ENSEMBLE, workers=1, threads_per_run=1, triton=connection
    )


async def used(
    engine: Engine, images: NDArray[np.uint8], timeout_s: float | None = None
) -> Descriptors:
    """One call to an engine, which is closed then."""
    try:
        return await engine.infer(ENSEMBLE, images, timeout_s)
    finally:
        await engine.close()


def described(engine: Engine, images: NDArray[np.uint8]) -> Descriptors:
    return asyncio.run(used(engine, images))


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_repository, tmp_path / "model_repository")


def replace_in(path: Path, says: str, said: str) -> None:
    text = path.read_text()
    assert says in text
    path.write_text(text.replace(says, said))


# With a real Triton


def test_both_engines_compute_the_same_bits(triton_url: str, tiny_repository: Path) -> None:
    embedded = create_engine("embedded", tiny_repository, ENSEMBLE, workers=1, threads_per_run=1)
    images = noise(2 * MAX_BATCH_SIZE + 3)
    here, there = (
        described(engine, images) for engine in (embedded, open_triton(tiny_repository, triton_url))
    )
    assert here.keys() == there.keys()
    for model, descriptors in here.items():
        assert descriptors.tobytes() == there[model].tobytes()


@pytest.mark.parametrize(
    ("images", "requests"), [(0, 0), (1, 1), (MAX_BATCH_SIZE, 1), (MAX_BATCH_SIZE + 1, 2)]
)
def test_a_call_is_one_request_for_each_max_batch_size_images(
    triton_url: str, tiny_repository: Path, images: int, requests: int
) -> None:
    async def counted() -> int:
        before = await ensemble_requests(triton_url, at_least=0)
        await used(open_triton(tiny_repository, triton_url), noise(images))
        return await ensemble_requests(triton_url, at_least=before + requests) - before

    assert asyncio.run(counted()) == requests


async def ensemble_requests(url: str, at_least: int) -> int:
    """Triton's own count; it may rise only after the answer was sent."""
    async with asyncio.timeout(PATIENCE_S), InferenceServerClient(url) as client:
        count = -1
        while count < at_least:
            statistics = await client.get_inference_statistics(ENSEMBLE)
            count = statistics.model_stats[0].inference_stats.success.count
    return count


@pytest.mark.parametrize(
    ("file", "says", "said", "named"),
    [
        ("tiny_a/config.pbtxt", "dims: 24", "dims: 25", "tiny_a .*25"),
        ("tiny/config.pbtxt", "dims: 16", "dims: 17", "tiny .*17"),
        ("tiny_b/config.pbtxt", 'name: "image"', 'name: "picture"', "tiny_b .*picture"),
        ("tiny_b/config.pbtxt", "TYPE_FP32", "TYPE_FP16", "tiny_b .*FP16"),
    ],
)
def test_models_that_differ_from_the_repository_are_refused_by_name(
    triton_url: str, repository_copy: Path, file: str, says: str, said: str, named: str
) -> None:
    replace_in(repository_copy / file, says, said)
    with pytest.raises(ModelRepositoryError, match=f"serves the model {named}"):
        described(open_triton(repository_copy, triton_url), noise(1))


def test_another_version_than_the_newest_is_refused_by_name(
    triton_url: str, repository_copy: Path
) -> None:
    (repository_copy / "tiny_b" / "2").mkdir()
    with pytest.raises(ModelRepositoryError, match=r"tiny_b with version 1; .* has version 2"):
        described(open_triton(repository_copy, triton_url), noise(1))


def test_model_that_triton_does_not_know_is_named(triton_url: str, repository_copy: Path) -> None:
    (repository_copy / "tiny").rename(repository_copy / "small")
    replace_in(repository_copy / "small" / "config.pbtxt", 'name: "tiny"\n', 'name: "small"\n')
    engine = create_engine(
        "triton",
        repository_copy,
        "small",
        workers=1,
        threads_per_run=1,
        triton=TritonConnection(url=triton_url),
    )

    async def infer() -> None:
        try:
            await engine.infer("small", noise(1))
        finally:
            await engine.close()

    with pytest.raises(ModelRepositoryError, match="'small' is not found"):
        asyncio.run(infer())


def test_search_is_answered_like_by_the_embedded_engine(
    triton_url: str, tiny_index: Path, tiny_repository: Path, tiny_catalogue: Path
) -> None:
    photo = (tiny_catalogue / "queries" / "q03.jpg").read_bytes()

    async def answer(engine: str) -> pb.SearchResponse:
        running = await start_server(settings(tiny_index, tiny_repository, engine, triton_url))
        async with grpc.aio.insecure_channel(running.address) as channel:
            stub = pb_grpc.RetrievalServiceStub(channel)
            status = await stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)
            response = await stub.Search(pb.SearchRequest(image=photo), timeout=PATIENCE_S)
        await running.stop(0)
        assert status.engine == engine
        return response

    here, there = (asyncio.run(answer(engine)) for engine in ("embedded", "triton"))
    assert len(here.results) == 7
    assert list(here.results) == list(there.results)


def settings(
    index: Path, repository: Path, engine: str, url: str = "", timeout_s: float = PATIENCE_S
) -> Settings:
    return Settings(
        index=index,
        model_repository=repository,
        engine=engine,
        port=0,
        workers=1,
        triton_url=url,
        triton_timeout_s=timeout_s,
    )


def test_index_built_and_measured_through_triton_is_the_same(
    triton_url: str,
    tiny_index: Path,
    tiny_catalogue: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path: Path,
) -> None:
    options = ["--model-repository", tiny_repository, "--engine", "triton"]
    options += ["--triton-url", triton_url, "--profile", tiny_profile_file]
    built = export("index", tiny_catalogue, "--output", tmp_path / "index", *options)
    assert open_index(tmp_path / "index").version == open_index(tiny_index).version, built
    there = export("evaluate", tiny_catalogue, "--json", "--index", tmp_path / "index", *options)
    here = export(
        *("evaluate", tiny_catalogue, "--json", "--index", tiny_index),
        *("--model-repository", tiny_repository),
    )
    assert there == here


def export(*arguments: object) -> str:
    result = CliRunner().invoke(export_app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


# Without a server


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # gRPC sets it, too
        held.bind(("127.0.0.1", 0))
        yield held


def url_of(held: socket.socket) -> str:
    return f"127.0.0.1:{held.getsockname()[1]}"


def test_absent_server_is_unavailable_within_the_deadline(
    taken: socket.socket, tiny_repository: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=f"{url_of(taken)} cannot be used now"):
        described(open_triton(tiny_repository, url_of(taken), timeout_s=2), noise(1))
    assert time.monotonic() - started < PATIENCE_S / 2


def test_search_server_does_not_start_without_its_triton(
    taken: socket.socket, tiny_index: Path, tiny_repository: Path
) -> None:
    with pytest.raises(EngineUnavailableError, match=url_of(taken)):
        asyncio.run(start_server(settings(tiny_index, tiny_repository, "triton", url_of(taken), 2)))


def test_server_that_never_answers_is_given_up_at_the_deadline(
    taken: socket.socket, tiny_repository: Path
) -> None:
    taken.listen()
    started = time.monotonic()
    with pytest.raises(EngineDeadlineError, match=url_of(taken)):
        described(open_triton(tiny_repository, url_of(taken), timeout_s=0.5), noise(1))
    assert 0.4 < time.monotonic() - started < PATIENCE_S / 2


def test_server_that_comes_in_time_is_used(taken: socket.socket, tiny_repository: Path) -> None:
    async def infer() -> Descriptors:
        call = asyncio.create_task(used(open_triton(tiny_repository, url_of(taken)), noise(1)))
        await asyncio.sleep(0)
        async with fake_triton(tiny_repository, address=url_of(taken)):
            return await call

    assert asyncio.run(infer())["tiny_a"].shape == (1, 24)


def test_servers_behind_one_name_take_turns(tiny_repository: Path) -> None:
    async def infer() -> list[int]:
        async with fake_triton(tiny_repository) as one, fake_triton(tiny_repository) as other:
            engine = open_triton(tiny_repository, f"ipv4:{one.url},{other.url}")
            async with asyncio.timeout(PATIENCE_S):
                while not (one.requests and other.requests):  # the second connects in its time
                    await engine.infer(ENSEMBLE, noise(1))
                before = len(one.requests), len(other.requests)
                for _ in range(8):
                    await engine.infer(ENSEMBLE, noise(1))
            await engine.close()
            after = len(one.requests), len(other.requests)
            return [new - old for new, old in zip(after, before, strict=True)]

    assert asyncio.run(infer()) == [4, 4]


# With a server that fails


def with_fake(
    repository: Path, use: Callable[[FakeTriton], Awaitable[None]], **behaviour: object
) -> FakeTriton:
    async def run() -> FakeTriton:
        async with asyncio.timeout(PATIENCE_S), fake_triton(repository, **behaviour) as fake:
            await use(fake)
        return fake

    return asyncio.run(run())


UNHEALTHY = (grpc.StatusCode.INTERNAL, "Stub process 'tiny_a_0_0' is not healthy.")
RELOADED = (
    grpc.StatusCode.NOT_FOUND,
    "Request for unknown model: 'tiny' has no available versions",
)
NOT_READY = (
    grpc.StatusCode.UNAVAILABLE,
    "Request for unknown model: 'tiny' version 1 is not at ready state",
)
GONE = (grpc.StatusCode.UNAVAILABLE, "Socket closed")


@pytest.mark.parametrize(
    "faults", [[GONE], [NOT_READY], [RELOADED], [UNHEALTHY] * 3, [GONE, RELOADED, UNHEALTHY]]
)
def test_fault_that_passes_is_not_noticed(tiny_repository: Path, faults: list[Fault]) -> None:
    async def use(fake: FakeTriton) -> None:
        answer = await used(open_triton(tiny_repository, fake.url), noise(2))
        assert answer["tiny_b"].shape == (2, 16)

    fake = with_fake(tiny_repository, use, faults=list(faults))
    assert len(fake.requests) == len(faults) + 1


@pytest.mark.parametrize("fault", [GONE, NOT_READY, RELOADED, UNHEALTHY])
def test_fault_that_stays_is_unavailable_within_the_deadline(
    tiny_repository: Path, fault: Fault
) -> None:
    async def use(fake: FakeTriton) -> None:
        engine = open_triton(tiny_repository, fake.url)
        await engine.infer(ENSEMBLE, noise(1))
        fake.always = fault
        with pytest.raises(EngineUnavailableError, match=re.escape(fault[1])):
            await used(engine, noise(1), timeout_s=2)

    assert len(with_fake(tiny_repository, use).requests) > 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ((grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'image'"), EngineError),
        ((grpc.StatusCode.INTERNAL, "onnx runtime error 1: out of memory"), EngineError),
        ((grpc.StatusCode.UNIMPLEMENTED, ""), EngineError),
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), EngineUnavailableError),
        ((grpc.StatusCode.UNAVAILABLE, "Request timeout expired"), EngineUnavailableError),
        ((grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"), EngineDeadlineError),
        (
            (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'tiny' is not found"),
            ModelRepositoryError,
        ),
    ],
)
def test_fault_that_a_retry_would_not_mend_is_reported_at_once(
    tiny_repository: Path, fault: Fault, kind: type[Exception]
) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(kind) as caught:
            await used(open_triton(tiny_repository, fake.url), noise(1))
        assert caught.type is kind
        assert fake.url in str(caught.value)
        assert "\n" not in str(caught.value)

    assert len(with_fake(tiny_repository, use, always=fault).requests) == 1


def test_request_that_hangs_is_given_up_at_the_callers_deadline(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        engine = open_triton(tiny_repository, fake.url)
        await engine.infer(ENSEMBLE, noise(1))
        fake.hangs = True
        started = time.monotonic()
        with pytest.raises(EngineDeadlineError):
            await used(engine, noise(1), timeout_s=1)
        assert time.monotonic() - started < PATIENCE_S / 2

    assert len(with_fake(tiny_repository, use).requests) == 2


def test_deadline_that_has_passed_sends_nothing(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(EngineDeadlineError):
            await used(open_triton(tiny_repository, fake.url), noise(1), timeout_s=0)

    assert with_fake(tiny_repository, use).requests == []


@pytest.mark.parametrize(
    ("setting_s", "caller_s", "allowed_s"), [(20, None, 20), (20, 10, 10), (10, 20, 10)]
)
def test_triton_is_told_the_shorter_deadline_in_seconds_and_in_microseconds(
    tiny_repository: Path, setting_s: float, caller_s: float | None, allowed_s: float
) -> None:
    async def use(fake: FakeTriton) -> None:
        await used(open_triton(tiny_repository, fake.url, setting_s), noise(1), caller_s)

    fake = with_fake(tiny_repository, use)
    told_s = fake.requests[0].parameters["timeout"].int64_param / 1e6
    assert allowed_s - 9 < fake.time_remaining[0] <= allowed_s * ROUNDED_UP
    assert allowed_s - 9 < told_s <= allowed_s


def test_request_asks_for_the_outputs_of_the_ensemble_by_name(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        await used(open_triton(tiny_repository, fake.url), noise(3))

    (request,) = with_fake(tiny_repository, use).requests
    assert request.model_name == ENSEMBLE
    assert [(tensor.name, tensor.datatype) for tensor in request.inputs] == [("image", "UINT8")]
    assert list(request.inputs[0].shape) == [3, SIDE, SIDE, 3]
    assert request.raw_input_contents[0] == noise(3).tobytes()
    assert [tensor.name for tensor in request.outputs] == [
        "tiny_a",
        "tiny_b",
        "tiny_a_fingerprint",
        "tiny_b_fingerprint",
    ]


def test_models_become_ready_before_the_first_request(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        await used(open_triton(tiny_repository, fake.url), noise(1))
        assert fake.not_ready < 0

    assert len(with_fake(tiny_repository, use, not_ready=3).requests) == 1


def test_model_that_does_not_become_ready_is_named(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(EngineUnavailableError, match="model tiny is not ready"):
            await used(open_triton(tiny_repository, fake.url, timeout_s=2), noise(1))

    assert with_fake(tiny_repository, use, not_ready=10**9).requests == []


def test_model_without_a_version_is_refused_by_name(tiny_repository: Path) -> None:
    metadata = metadata_of(ModelRepository(tiny_repository), "tiny_a")
    metadata.ClearField("versions")

    async def use(fake: FakeTriton) -> None:
        with pytest.raises(ModelRepositoryError, match="tiny_a"):
            await used(open_triton(tiny_repository, fake.url), noise(1))

    with_fake(tiny_repository, use, metadata={"tiny_a": metadata})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"cut": 4}, "incomplete .* of tiny_a"),
        ({"lost": "tiny_b"}, "nothing as tiny_b of tiny_b instead of float32"),
    ],
)
def test_answer_that_is_not_whole_is_refused(
    tiny_repository: Path, damage: dict[str, object], named: str
) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(EngineError, match=named):
            await used(open_triton(tiny_repository, fake.url), noise(1))

    with_fake(tiny_repository, use, **damage)


# Access


def test_access_key_opens_a_restricted_protocol(tiny_repository: Path) -> None:
    async def use(fake: FakeTriton) -> None:
        await used(open_triton(tiny_repository, fake.url, access_key="x-key=s3=cret"), noise(1))

    with_fake(tiny_repository, use, access_key=("x-key", "s3=cret"))


@pytest.mark.parametrize("access_key", [None, "x-key=wr0ng", "key=s3cret"])
def test_wrong_access_key_is_reported_at_once_and_not_shown(
    tiny_repository: Path, access_key: str | None
) -> None:
    async def use(fake: FakeTriton) -> None:
        with pytest.raises(EngineError, match="RETRIEVAL_TRITON_ACCESS_KEY") as caught:
            await used(open_triton(tiny_repository, fake.url, access_key=access_key), noise(1))
        assert caught.type is EngineError
        assert "wr0ng" not in str(caught.value)

    assert len(with_fake(tiny_repository, use, access_key=("x-key", "s3cret")).requests) == 1


@pytest.mark.parametrize("access_key", ["s3cret", "=s3cret", "X-Key=s3cret", "key=", "key=s3 cret"])
def test_access_key_of_another_form_is_refused_and_not_shown(
    tiny_repository: Path, access_key: str
) -> None:
    with pytest.raises(EngineError, match="NAME=VALUE") as caught:
        open_triton(tiny_repository, "localhost:1", access_key=access_key)
    assert "cret" not in str(caught.value)


def test_access_key_is_not_in_the_text_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(index=tmp_path, triton_access_key="x-key=s3cret")
    assert settings.triton.access_key == "x-key=s3cret"
    assert "s3cret" not in f"{settings} {settings.triton}"


def with_tls(certificates: Path, repository: Path, **files: Path) -> Descriptors:
    credentials = grpc.ssl_server_credentials(
        [((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())],
        (certificates / "ca.pem").read_bytes(),
        require_client_auth=True,
    )

    async def run() -> Descriptors:
        async with fake_triton(repository, credentials) as fake:
            return await used(open_triton(repository, fake.url, timeout_s=3, **files), noise(1))

    return asyncio.run(run())


def test_both_sides_show_certificates(certificates: Path, tiny_repository: Path) -> None:
    answer = with_tls(
        certificates,
        tiny_repository,
        tls_ca=certificates / "ca.pem",
        tls_cert=certificates / "client.pem",
        tls_key=certificates / "client.key",
    )
    assert answer["tiny_a"].shape == (1, 24)


def test_server_of_a_strange_authority_is_unavailable(
    certificates: Path, tiny_repository: Path
) -> None:
    with pytest.raises(EngineUnavailableError, match="cannot be used now"):
        with_tls(certificates, tiny_repository, tls_ca=certificates / "stranger.pem")


@pytest.mark.parametrize("files", [{"tls_cert": Path("a")}, {"tls_key": Path("a")}])
def test_certificate_without_its_key_is_refused(
    tiny_repository: Path, files: dict[str, Path]
) -> None:
    with pytest.raises(EngineError, match="--triton-tls-cert and --triton-tls-key"):
        open_triton(tiny_repository, "localhost:1", **files)


def test_tls_file_that_cannot_be_read_is_named(tiny_repository: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=re.escape(str(tmp_path / "ca.pem"))):
        open_triton(tiny_repository, "localhost:1", tls_ca=tmp_path / "ca.pem")


# The rest


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ("max_batch_size: 4", "max_batch_size: 0"),
        ('value: "tiny_b"', 'value: "tiny_c"'),
        ('key: "descriptor"', 'key: "embedding"'),
    ],
)
def test_ensemble_that_cannot_be_used_is_refused_before_anything_is_sent(
    repository_copy: Path, says: str, said: str
) -> None:
    replace_in(repository_copy / "tiny" / "config.pbtxt", says, said)
    with pytest.raises(ModelRepositoryError, match=r"config\.pbtxt of tiny must"):
        open_triton(repository_copy, "localhost:1")


def test_eight_batches_are_kept_in_flight(tiny_repository: Path) -> None:
    assert open_triton(tiny_repository, "localhost:1").in_flight == 8 * MAX_BATCH_SIZE


@pytest.mark.parametrize("timeout_s", [None, PATIENCE_S])
def test_deadline_of_a_search_reaches_the_engine(
    tiny_index: Path,
    tiny_repository: Path,
    tiny_catalogue: Path,
    monkeypatch: pytest.MonkeyPatch,
    timeout_s: float | None,
) -> None:
    deadlines: list[float | None] = []

    def noted(*arguments: object, **options: object) -> Engine:
        engine = create_engine(*arguments, **options)
        infer = engine.infer

        async def note(
            ensemble: str, images: NDArray[np.uint8], timeout_s: float | None = None
        ) -> Descriptors:
            deadlines.append(timeout_s)
            return await infer(ensemble, images)

        engine.infer = note
        return engine

    async def search() -> None:
        running = await start_server(settings(tiny_index, tiny_repository, "embedded"))
        async with grpc.aio.insecure_channel(running.address) as channel:
            photo = (tiny_catalogue / "queries" / "q00.jpg").read_bytes()
            stub = pb_grpc.RetrievalServiceStub(channel)
            await stub.Search(pb.SearchRequest(image=photo), timeout=timeout_s)
        await running.stop(0)

    monkeypatch.setattr(server_module, "create_engine", noted)
    asyncio.run(search())
    if timeout_s is None:
        assert deadlines[-1] is None
    else:
        assert 0 < deadlines[-1] <= timeout_s * ROUNDED_UP
