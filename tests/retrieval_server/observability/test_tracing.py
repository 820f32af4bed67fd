"""Spans of real searches, as a collector of OpenTelemetry receives them."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import grpc
import numpy as np
import pytest
from grpc.aio import AbortError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import get_current_span

from retrieval_server.engines.create_engine import create_engine
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.errors import RetrievalError
from retrieval_server.observability import tracing
from retrieval_server.observability.tracing import ENDPOINTS, Tracing, start_tracing
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.fake_triton import fake_triton
from tests.support.otlp_receiver import receiving
from tests.support.patience import PATIENCE_S, eventually
from tests.support.programs.command import command
from tests.support.programs.untraced_server import check_nothing_is_traced
from tests.support.raw_stream import RawStream
from tests.support.served import Served, ServedBy

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"  # W3C's example
SEARCH = "/retrieval_server.v1.RetrievalService/Search"


class Collector:
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self._changed = threading.Condition()

    def take(self, request: ExportTraceServiceRequest) -> None:
        with self._changed:
            for resource in request.resource_spans:
                attributes = attributes_of(resource.resource)
                self.services.add(str(attributes["service.name"]))
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Span]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.spans) >= count, PATIENCE_S), self.spans
            return list(self.spans)


def attributes_of(message: object) -> dict[str, str | int]:
    return {
        entry.key: getattr(entry.value, entry.value.WhichOneof("value"))
        for entry in message.attributes  # type: ignore[attr-defined]
    }


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, and an environment that names it."""
    collector = Collector()
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")  # ms
    with receiving(collector.take) as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield collector


@pytest.fixture(scope="module")
def photo(tiny_catalogue: Path) -> bytes:
    return (tiny_catalogue / "queries" / "q00.jpg").read_bytes()


def search(served: Served, **fields: object) -> pb.SearchResponse:
    """Search as somebody who is traced."""
    metadata = [("traceparent", f"00-{TRACE}-{PARENT}-01")]
    return served.stub.Search(pb.SearchRequest(**fields), timeout=PATIENCE_S, metadata=metadata)


def test_a_request_that_is_refused_is_released_without_a_garbage_collection(
    collector: Collector, served_by: ServedBy
) -> None:
    """OpenTelemetry raises the error of a call anew, with a traceback that has the request."""
    with served_by() as served:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                with pytest.raises(grpc.RpcError):
                    served.search(image=bytes(90_000))
            # gRPC itself holds the state of the last call until the next one comes
            eventually(lambda: sum(type(each) is AbortError for each in gc.get_objects()) <= 1)
        finally:
            gc.enable()


def test_a_search_is_a_span_of_its_caller_s_trace_with_one_for_each_stage(
    collector: Collector, served_by: ServedBy, photo: bytes
) -> None:
    with served_by() as served:
        answer = search(served, image=photo)
        spans = {span.name: span for span in collector.wait_for(4)}
    assert set(spans) == {SEARCH, "decode", "encode", "search"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    whole = spans.pop(SEARCH)
    assert whole.parent_span_id.hex() == PARENT
    assert attributes_of(whole)["request_id"] == answer.request_id
    assert {span.parent_span_id for span in spans.values()} == {whole.span_id}
    order = [spans[name] for name in ("decode", "encode", "search")]
    moments = [
        time for span in order for time in (span.start_time_unix_nano, span.end_time_unix_nano)
    ]
    assert moments == sorted(moments)
    assert whole.start_time_unix_nano <= moments[0] <= moments[-1] <= whole.end_time_unix_nano
    assert attributes_of(spans["search"])["rank_us"] == answer.timings.rank_us
    assert attributes_of(spans["search"])["refine_us"] == answer.timings.refine_us
    assert collector.services == {"beauty-server"}


def test_each_search_of_a_stream_is_a_span_of_its_own_with_its_stages(
    collector: Collector, served_by: ServedBy, photo: bytes
) -> None:
    with served_by() as served:
        stream = RawStream(served.stub, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        for _ in range(2):
            stream.send(image=photo)
        ids = {response.answer.request_id for response in stream.rest()}
        spans = collector.wait_for(1 + 2 * 4)
    (whole,) = (span for span in spans if span.name == f"{SEARCH}Stream")
    assert whole.parent_span_id.hex() == PARENT
    searches = [span for span in spans if span.name == "streamed search"]
    assert {attributes_of(span)["request_id"] for span in searches} == ids
    for search in searches:
        assert search.parent_span_id == whole.span_id
        stages = [span.name for span in spans if span.parent_span_id == search.span_id]
        assert sorted(stages) == ["decode", "encode", "search"]


def test_a_failure_and_the_service_s_name_are_told(
    collector: Collector, served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "retrieval")
    with served_by() as served:
        served.refused(product_id="unheard of")
        spans = {span.name: span for span in collector.wait_for(2)}
    assert collector.services == {"retrieval"}
    status = grpc.StatusCode.NOT_FOUND.value[0]
    assert attributes_of(spans[SEARCH])["rpc.grpc.status_code"] == status
    (raised,) = spans["search"].events
    assert "unheard of" in str(attributes_of(raised)["exception.message"])


def test_reflection_is_answered_where_traces_are_made(
    collector: Collector, served_by: ServedBy
) -> None:
    with served_by() as served:
        assert ProtoReflectionDescriptorDatabase(served.channel).get_services()
        assert collector.wait_for(1)


def test_probes_leave_no_spans(collector: Collector, served_by: ServedBy) -> None:
    with served_by() as served:
        served.health.Check(health_pb2.HealthCheckRequest())
        search(served, product_id="p0000")
    assert {span.name for span in collector.wait_for(2)} == {SEARCH, "search"}


def test_the_last_spans_are_sent_when_the_server_stops(
    collector: Collector, served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    with served_by() as served:
        search(served, product_id="p0000")
        assert collector.spans == []
    assert len(collector.spans) == 2


def test_a_collector_that_is_away_harms_nothing(
    served_by: ServedBy, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with served_by() as served:
        assert len(search(served, image=photo).results) == 7


def test_a_collector_that_never_answers_does_not_keep_a_server_from_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(tracing, "LAST_SPANS_S", 0.01)
    Tracing(Mock(shutdown=ended.wait)).close()  # comes back although that goes on
    ended.set()


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
def test_triton_is_told_the_trace_if_it_is_kept(tiny_repository: Path, sampler: Sampler) -> None:
    traced = Tracing(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    assert traced.interceptors
    pixels = np.zeros((1, 32, 32, 3), np.uint8)

    async def ask() -> tuple[str, list[dict[str, str]]]:
        async with fake_triton(tiny_repository) as fake:
            connection = TritonConnection(url=fake.url, timeout_s=PATIENCE_S)
            engine = create_engine(
                "triton", tiny_repository, "tiny", workers=1, threads_per_image=1, triton=connection
            )
            await engine.infer("tiny", pixels)
            with traced.span("encode"):
                await engine.infer("tiny", pixels)
                trace = f"{get_current_span().get_span_context().trace_id:032x}"
            await engine.close()
            return trace, fake.headers

    trace, (outside, inside) = asyncio.run(ask())
    assert "traceparent" not in outside
    named = inside.get("traceparent", "").split("-")
    assert named[1:2] == ([trace] if sampler is ALWAYS_ON else [])


@pytest.mark.parametrize(
    "environment",
    [{}, {ENDPOINTS[0]: ""}, {ENDPOINTS[1]: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "True"}],
)
def test_nothing_is_traced_unless_it_is_wanted(environment: dict[str, str]) -> None:
    nothing = start_tracing(environment)
    assert nothing.interceptors == []
    with nothing.span("search"):
        nothing.note(request_id="r")
    nothing.close()


def test_a_server_that_traces_nothing_imports_nothing_of_it() -> None:
    subprocess.run(command(check_nothing_is_traced), check=True)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_without_opentelemetry_is_an_error_that_says_what_to_install(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(RetrievalError, match=rf"{endpoint} is set, .*\[server,tracing\]"):
        start_tracing({endpoint: "http://127.0.0.1:1"})
