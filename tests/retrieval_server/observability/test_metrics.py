"""What Prometheus reads from a real server, over HTTP."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import grpc
import pytest
from grpc_health.v1 import health_pb2

from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    ModelMismatchError,
    RetrievalError,
)
from retrieval_server.observability.metrics import (
    COMPACTIONS,
    FAILURES,
    QUEUES,
    REFUSALS,
    RELOADS,
    STAGES,
    ServerMetrics,
)
from retrieval_server.observability.request_metrics import RequestMetrics
from retrieval_server.observability.tracing import Tracing
from retrieval_server.serving.admission.admission import Cause, Kind
from retrieval_server.serving.served import readiness as readiness_module
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S, growing_deadlines
from tests.support.scraped_metrics import scraped, value
from tests.support.served import Served, ServedBy

TABLE = ROOT / "deploy" / "METRICS.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", re.MULTILINE)
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.fixture
def served(served_by: ServedBy) -> Iterator[Served]:
    with served_by(metrics_port=0) as server:
        yield server


@pytest.fixture(scope="module")
def photo(tiny_catalogue: Path) -> bytes:
    return (tiny_catalogue / "queries" / "q00.jpg").read_bytes()


def eventually(served: Served, expected: float, sample: str, **labels: str) -> None:
    """Wait for a value: an answer goes out before its request is counted."""
    deadline = time.monotonic() + PATIENCE_S
    while (last := value(served, sample, **labels)) != expected:
        assert time.monotonic() < deadline, f"{sample}{labels} is {last}, not {expected}"


def test_the_table_is_what_a_server_exports(
    served: Served, served_by: ServedBy, certificates: Path, photo: bytes
) -> None:
    served.search(image=photo)
    eventually(served, 1, "beauty_requests_total", method="Search", code="OK")
    with_tls = {"tls_cert": certificates / "server.pem", "tls_key": certificates / "server.key"}
    with served_by(metrics_port=0, **with_tls) as other:
        families = scraped(other) | scraped(served)
    exported = {
        family.samples[0].name if family.type != "histogram" else name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
            family.documentation,
        )
        for name, family in families.items()
        if name.startswith("beauty_")
    }
    text = TABLE.read_text(encoding="utf-8")
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in ROW.findall(text)
    }
    assert exported == documented
    others = {
        sample.name
        for name, family in families.items()
        if not name.startswith("beauty_")
        for sample in family.samples
    }
    assert others == set(re.findall(r"`((?:process|python)_\w+)`", text))


def test_the_named_values_of_the_labels_are_all_there_are(served: Served) -> None:
    text = TABLE.read_text(encoding="utf-8")

    def named(label: str) -> set[str]:
        (line,) = re.findall(rf"^- `{label}`: (.*)$", text, re.MULTILINE)
        return set(re.findall(r"`(\w+)`", line))

    assert named("stage") == set(STAGES)
    assert named("queue") == set(QUEUES)
    assert named("reason") == set(FAILURES.values())
    assert named("outcome") == set(RELOADS)
    assert named("result") == set(COMPACTIONS)
    assert named("cause") == set(REFUSALS.values())
    assert named("overload") == {cause.value for cause in Cause}
    assert named("kind") == {kind.value for kind in Kind}
    for name, label in (
        ("beauty_search_stage_duration_seconds", "stage"),
        ("beauty_searches_waiting", "queue"),
        ("beauty_engine_failures", "reason"),
        ("beauty_index_reloads", "outcome"),
        ("beauty_index_compactions", "result"),
        ("beauty_index_refused", "cause"),
        ("beauty_searches_shed", "overload"),
        ("beauty_search_expected_seconds", "kind"),
    ):
        samples = scraped(served)[name].samples
        assert {sample.labels[label] for sample in samples} == named(label)  # before any search


def test_requests_are_counted_by_method_and_status(served: Served, photo: bytes) -> None:
    served.search(image=photo)
    served.search(product_id="p0000")
    served.refused(image=b"no image")
    served.refused(product_id="unheard of")
    served.stub.GetProducts(pb.GetProductsRequest(product_ids=["p0000", "unheard of"]))
    served.stub.GetStatus(pb.GetStatusRequest())
    served.health.Check(health_pb2.HealthCheckRequest())
    for count, method, code in (
        (2, "Search", "OK"),
        (1, "Search", "INVALID_ARGUMENT"),
        (1, "Search", "NOT_FOUND"),
        (1, "GetProducts", "OK"),
        (1, "GetStatus", "OK"),
        (1, "Check", "OK"),
    ):
        eventually(served, count, "beauty_requests_total", method=method, code=code)
    assert value(served, "beauty_request_duration_seconds_count", method="Search") == 4
    assert value(served, "beauty_requests_in_flight", method="Search") == 0


def test_stages_are_timed_by_search(served: Served, photo: bytes) -> None:
    timings = served.search(image=photo).timings
    served.search(product_id="p0000")
    eventually(served, 2, "beauty_search_stage_duration_seconds_count", stage="rank")
    name = "beauty_search_stage_duration_seconds"
    assert value(served, f"{name}_count", stage="encode") == 1
    assert value(served, f"{name}_sum", stage="encode") == pytest.approx(timings.encode_us / 1e6)
    assert value(served, f"{name}_sum", stage="decode") == pytest.approx(timings.decode_us / 1e6)


def test_a_method_that_does_not_exist_makes_no_series(served: Served) -> None:
    for number in range(3):
        with pytest.raises(grpc.RpcError):
            served.channel.unary_unary(f"/made.up.Service/Method{number}")(b"")
    methods = {sample.labels["method"] for sample in scraped(served)["beauty_requests"].samples}
    assert methods <= {"Search", "GetProducts", "GetStatus", "Check"}


def test_a_search_in_progress_a_refused_and_a_late_one_are_counted(
    served_by: ServedBy, photo: bytes
) -> None:
    request = pb.SearchRequest(image=photo)
    with served_by(metrics_port=0, max_concurrent_requests=1) as served:
        assert value(served, "beauty_searches_limit") == 1
        served.hold()
        held = served.stub.Search.future(request, timeout=PATIENCE_S)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        assert value(served, "beauty_requests_in_flight", method="Search") == 1
        refusal = served.refused(image=photo)
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        eventually(served, 1, "beauty_searches_shed_total", overload="full")
        served.release()
        held.result(PATIENCE_S)
        served.hold()
        for deadline_s in growing_deadlines(0.3):  # the call may end on its way
            late_call = served.refused(image=photo, timeout_s=deadline_s)
            assert late_call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            eventually(served, 0, "beauty_requests_in_flight", method="Search")
            if served.engine.arrived.acquire(blocking=False):
                break
        samples = scraped(served)["beauty_requests"].samples
        counted = {each.labels["code"]: each.value for each in samples}
        # on a busy machine a request travels so long that its caller gives up early, for us
        assert counted.get("DEADLINE_EXCEEDED", 0) + counted.get("CANCELLED", 0) >= 1
        assert (counted["OK"], counted["RESOURCE_EXHAUSTED"]) == (1, 1)


@pytest.mark.parametrize(
    ("remaining_s", "status"),
    [
        (0.0, "DEADLINE_EXCEEDED"),
        (0.4, "DEADLINE_EXCEEDED"),  # rounded up on the wire
        (0.6, "CANCELLED"),
        (10.0, "CANCELLED"),
        (None, "CANCELLED"),  # the caller set no deadline
    ],
)
def test_a_cancelled_request_is_late_only_at_the_end_of_its_time(
    remaining_s: float | None, status: str
) -> None:
    metrics = ServerMetrics()
    cancelled = AsyncMock(side_effect=asyncio.CancelledError)
    handler = grpc.unary_unary_rpc_method_handler(cancelled)
    context = Mock(
        time_remaining=Mock(side_effect=[None if remaining_s is None else 10.0, remaining_s])
    )

    async def call() -> None:
        measured = await RequestMetrics(metrics, Tracing()).intercept_service(
            AsyncMock(return_value=handler), Mock(method="/beauty.Retrieval/Search")
        )
        assert measured is not None
        await measured.unary_unary(b"", context)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(call())
    labels = {"method": "Search", "code": status}
    assert metrics.registry.get_sample_value("beauty_requests_total", labels) == 1


def test_a_caller_who_hangs_up_is_counted_as_cancelled(served: Served, photo: bytes) -> None:
    served.hold()
    call = served.stub.Search.future(pb.SearchRequest(image=photo), timeout=PATIENCE_S)
    assert served.engine.arrived.acquire(timeout=PATIENCE_S)
    call.cancel()
    eventually(served, 1, "beauty_requests_total", method="Search", code="CANCELLED")


def test_a_defect_is_counted_as_internal(served: Served, photo: bytes) -> None:
    served.engine.failure = ZeroDivisionError("a defect")
    assert served.refused(image=photo).code() is grpc.StatusCode.INTERNAL
    eventually(served, 1, "beauty_requests_total", method="Search", code="INTERNAL")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (EngineUnavailableError("gone"), "unavailable"),
        (EngineDeadlineError("late"), "deadline"),
        (ModelMismatchError("others"), "models"),
        (EngineError("broken"), "other"),
    ],
)
def test_a_failure_of_the_engine_is_counted_by_its_reason(
    failure: RetrievalError, reason: str
) -> None:
    metrics = ServerMetrics()
    metrics.count_failure(failure)
    counted = {
        other: metrics.registry.get_sample_value("beauty_engine_failures_total", {"reason": other})
        for other in FAILURES.values()
    }
    assert counted == dict.fromkeys(FAILURES.values(), 0) | {reason: 1}


def test_an_engine_that_is_away_shows_in_readiness_and_failures(
    served_by: ServedBy, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "POLL_EVERY_S", 0.001)
    with served_by(metrics_port=0) as served:
        assert value(served, "beauty_ready") == 1
        served.engine.failure = EngineUnavailableError("away")
        served.refused(image=photo)
        served.refused(image=b"no image")  # not the engine's fault
        eventually(served, 0, "beauty_ready")
        eventually(served, 1, "beauty_engine_failures_total", reason="unavailable")
        served.engine.failure = None
        served.engine.generation = 3
        eventually(served, 1, "beauty_ready")
        assert value(served, "beauty_engine_generations_total") == 3


def test_the_index_is_described(served: Served, tiny_index: Path) -> None:
    version = (tiny_index / "current").read_text().strip()
    assert value(served, "beauty_index_info", version=version, profile="tiny") == 1
    assert value(served, "beauty_index_products") == 40
    built = (tiny_index / version / "manifest.json").stat().st_mtime
    assert value(served, "beauty_index_built_timestamp_seconds") == pytest.approx(built)
    originals = 40 * (24 + 16) * 4
    levels = value(served, "beauty_index_level_bytes", level="originals", resident="false")
    assert levels == originals


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_metrics_are_served_over_ipv6_too(served_by: ServedBy, host: str) -> None:
    with served_by(host=host, metrics_port=0) as served:
        assert served.running.metrics_address.startswith("[::1]:")
        assert value(served, "beauty_ready") == 1


def test_nothing_listens_without_a_metrics_port(served_by: ServedBy) -> None:
    with served_by() as served:
        assert served.running.metrics_address is None
