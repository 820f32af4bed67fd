"""The engine ``triton`` with a server that fails: what is tried again, and what is reported."""

import re
import time
from pathlib import Path

import grpc
import pytest

from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelRepositoryError,
)
from retrieval_server.models.model_repository import ModelRepository
from tests.support.fake_triton import FakeTriton, Fault, metadata_of
from tests.support.patience import PATIENCE_S
from tests.support.triton_engine import (
    ENSEMBLE,
    ROUNDED_UP,
    SIDE,
    noise,
    open_triton,
    used,
    with_fake,
)

CLOSING = (grpc.StatusCode.CANCELLED, "CANCELLED")
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
    "faults",
    [[GONE], [NOT_READY], [RELOADED], [UNHEALTHY] * 3, [CLOSING], [GONE, RELOADED, UNHEALTHY]],
)
def test_fault_that_passes_is_not_noticed(tiny_repository: Path, faults: list[Fault]) -> None:
    async def use(fake: FakeTriton) -> None:
        answer = await used(open_triton(tiny_repository, fake.url), noise(2))
        assert answer["tiny_b"].shape == (2, 16)

    fake = with_fake(tiny_repository, use, faults=list(faults))
    assert len(fake.requests) == len(faults) + 1


@pytest.mark.parametrize("fault", [GONE, NOT_READY, RELOADED, UNHEALTHY, CLOSING])
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
        "tiny_a_fingerprint",
        "tiny_b",
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
