"""The engine ``triton`` with a real Triton, and its settings.

What it shares with the other engine is in ``test_engines.py``.
"""

import asyncio
import shutil
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
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.serving import server as server_module
from retrieval_server.serving.server import start_server
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.index_files import index_files
from tests.support.patience import PATIENCE_S
from tests.support.triton_engine import (
    ENSEMBLE,
    ROUNDED_UP,
    Descriptors,
    described,
    noise,
    open_triton,
    settings,
    used,
)

MAX_BATCH_SIZE = 4


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_repository, tmp_path / "model_repository")


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# With a real Triton


def test_both_engines_compute_the_same_bits(triton_url: str, tiny_repository: Path) -> None:
    embedded = create_engine("embedded", tiny_repository, ENSEMBLE, workers=1, threads_per_image=1)
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
    ("file", "old", "new", "named"),
    [
        ("tiny_a/config.pbtxt", "dims: 24", "dims: 25", "tiny_a .*25"),
        ("tiny/config.pbtxt", "dims: 16", "dims: 17", "tiny .*17"),
        ("tiny_b/config.pbtxt", 'name: "image"', 'name: "picture"', "tiny_b .*picture"),
        ("tiny/config.pbtxt", "TYPE_FP32", "TYPE_FP16", "tiny .*FP16"),
    ],
)
def test_models_that_differ_from_the_repository_are_refused_by_name(
    triton_url: str, repository_copy: Path, file: str, old: str, new: str, named: str
) -> None:
    replace_in(repository_copy / file, old, new)
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
        threads_per_image=1,
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
    assert index_files(tmp_path / "index") == index_files(tiny_index), built
    there = export("evaluate", tiny_catalogue, "--json", "--index", tiny_index, *options)
    here = export(
        *("evaluate", tiny_catalogue, "--json", "--index", tiny_index),
        *("--model-repository", tiny_repository),
    )
    assert there == here


def export(*arguments: object) -> str:
    result = CliRunner().invoke(export_app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


# The rest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_batch_size: 4", "max_batch_size: 0"),
        ('value: "tiny_b"', 'value: "tiny_c"'),
        ('key: "descriptor"', 'key: "embedding"'),
    ],
)
def test_ensemble_that_cannot_be_used_is_refused_before_anything_is_sent(
    repository_copy: Path, old: str, new: str
) -> None:
    replace_in(repository_copy / "tiny" / "config.pbtxt", old, new)
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
