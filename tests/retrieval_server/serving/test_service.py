"""The service over a real gRPC server on port 0, with the raw stubs and with the client's room."""

import inspect
import io
import json
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from PIL import Image

from client import InvalidQueryError, OverloadedError, ProductNotFoundError, RetrievalClient, Stage
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server import errors
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.serving.service import STATUS_OF_ERROR, status_of
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.served import PATIENCE_S, Served, ServedBy

SERVICE = "retrieval_server.v1.RetrievalService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def shared(served_by: ServedBy) -> Iterator[Served]:
    """One server for the tests that leave it as it is."""
    with served_by(max_image_bytes=100_000, max_concurrent_requests=200) as served:
        yield served


@pytest.fixture
def puppet(shared: Served) -> Iterator[Served]:
    """The shared server, to hold or to make fail; as it was afterwards."""
    yield shared
    shared.engine.failure = None
    shared.release()


@pytest.fixture(scope="module")
def bundle(tiny_index: Path) -> IndexBundle:
    return open_index(tiny_index)


def photo(seed: int = 0, side: int = 40) -> bytes:
    """White with a coloured square, which tells one seed from the other."""
    generator = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    left, top = generator.integers(0, side // 2, 2)
    pixels[top : top + side // 3, left : left + side // 3] = generator.integers(0, 200, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def descriptors_of(bundle: IndexBundle, row: int) -> pb.Descriptors:
    return pb.Descriptors(
        by_model={
            model: pb.Descriptor(values=database[row].tolist())
            for model, database in zip(bundle.profile.models, bundle.descriptors, strict=True)
        }
    )


def without_times(response: pb.SearchResponse) -> bytes:
    """What two answers to the same query have in common: all of it but these two fields."""
    copy = pb.SearchResponse()
    copy.CopyFrom(response)
    copy.ClearField("timings")
    copy.ClearField("request_id")
    return copy.SerializeToString(deterministic=True)


def trailing(call: grpc.Call) -> dict[str, str]:
    return {str(key): str(value) for key, value in call.trailing_metadata()}


def json_records(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [
        json.loads(record.getMessage())
        for record in caplog.records
        if record.name == "retrieval_server.serving.service" and record.getMessage().startswith("{")
    ]


# Queries


def test_image_query_is_answered_like_the_retriever_itself_does(
    shared: Served, bundle: IndexBundle
) -> None:
    response = shared.search(image=photo(1), top_k=9, keep=2)
    described = shared.result(
        shared.engine.engine.infer("tiny", decode_image(photo(1), bundle.profile.side)[None])
    )
    query = tuple(described[model][0] for model in bundle.profile.models)
    expected = Retriever(bundle, shared.engine).search(query, SearchParameters(top_k=9, keep=2))
    assert [match.product_id for match in response.results] == [
        bundle.product_id(match.row) for match in expected.matches
    ]
    assert [match.similarity for match in response.results] == [
        match.similarity for match in expected.matches
    ]
    assert [match.product_id for match in response.initial_results] == [
        bundle.product_id(match.row) for match in expected.initial
    ]
    assert response.subset_size == expected.subset_size


def test_product_query_leaves_the_product_itself_out(shared: Served) -> None:
    response = shared.search(product_id="p0000", top_k=39)
    found = [match.product_id for match in response.results]
    assert len(set(found)) == 39
    assert "p0000" not in found
    assert "p0000" not in {match.product_id for match in response.initial_results}


def test_descriptors_query_finds_the_product_they_belong_to(
    shared: Served, bundle: IndexBundle
) -> None:
    response = shared.search(descriptors=descriptors_of(bundle, 17), keep=7)
    best = max(match.similarity for match in response.results)
    assert best == pytest.approx(8, abs=1e-5)  # (1 + 3) × (1 + 1)
    assert response.results[0].similarity == best


def test_search_without_a_query_names_the_three_it_may_be(shared: Served) -> None:
    error = shared.refused(top_k=3)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    for field in ("image", "product_id", "descriptors"):
        assert field in error.details()


def test_last_of_two_queries_counts_as_protocol_buffers_have_it(shared: Served) -> None:
    response = shared.search(image=photo(), product_id="p0101")
    assert without_times(response) == without_times(shared.search(product_id="p0101"))


def test_counts_left_out_take_the_defaults(shared: Served) -> None:
    response = shared.search(image=photo())
    assert without_times(response) == without_times(
        shared.search(image=photo(), top_k=7, keep=3, refine=True)
    )
    assert len(response.results) == 7


def test_servers_own_defaults_fill_in_for_counts_left_out(served_by: ServedBy) -> None:
    with served_by(default_top_k=5, default_keep=2) as served:
        response = served.search(image=photo())
        assert without_times(response) == without_times(
            served.search(image=photo(), top_k=5, keep=2)
        )
        status = served.stub.GetStatus(pb.GetStatusRequest())
    assert (status.default_top_k, status.default_keep) == (5, 2)


# Results


def test_every_field_of_a_match_is_filled(shared: Served, bundle: IndexBundle) -> None:
    response = shared.search(image=photo(1), top_k=7, keep=1)
    assert [match.rank for match in response.results] == list(range(1, 8))
    assert [match.rank for match in response.initial_results] == list(range(1, 8))
    for match in (*response.results, *response.initial_results):
        row = bundle.row_of(match.product_id)
        assert row is not None
        product = bundle.product(row)
        assert match.description == product.description
        assert match.image == product.image
        assert dict(match.attributes) == product.attributes
        assert match.attributes["brand"]
        assert [cosine.model for cosine in match.cosines] == ["tiny_a", "tiny_b"]
        first, second = (cosine.cosine for cosine in match.cosines)
        assert match.similarity == pytest.approx((1 + 3 * first) * (1 + second))
        assert match.stage in {pb.STAGE_INITIAL, pb.STAGE_REFINED, pb.STAGE_FILLED}
        assert match.HasField("text") == (match.stage == pb.STAGE_REFINED)


def test_refined_match_says_which_product_brought_it(shared: Served, bundle: IndexBundle) -> None:
    response = shared.search(image=photo(1), top_k=7, keep=1)
    refined = [match for match in response.results if match.stage == pb.STAGE_REFINED]
    assert refined
    for match in refined:
        assert match.text.seed_rank == 1
        assert match.text.seed_product_id == response.results[0].product_id
        assert bundle.manifest.text["threshold"] < match.text.cosine <= 1


def test_initial_results_are_those_of_an_unrefined_search(shared: Served) -> None:
    refined = shared.search(image=photo(1), keep=1)
    plain = shared.search(image=photo(1), refine=False)
    assert list(refined.initial_results) == list(plain.results) == list(plain.initial_results)
    assert list(refined.results) != list(plain.results)
    assert {match.stage for match in plain.results} == {pb.STAGE_INITIAL}
    assert plain.subset_size == 0


def test_short_of_text_neighbours_the_initial_ranking_fills_up(shared: Served) -> None:
    response = shared.search(product_id="p0000", top_k=39, keep=1)
    stages = [match.stage for match in response.results]
    assert stages == sorted(stages)
    assert set(stages) == {pb.STAGE_INITIAL, pb.STAGE_REFINED, pb.STAGE_FILLED}
    assert stages.count(pb.STAGE_REFINED) == response.subset_size


def test_alpha_of_a_request_holds_for_that_request(shared: Served) -> None:
    response = shared.search(image=photo(1), alpha={"tiny_a": 0.0}, refine=False)
    for match in response.results:
        assert match.similarity == pytest.approx(1 + match.cosines[1].cosine)
    again = shared.search(image=photo(1), refine=False)
    assert again.results[0].similarity == pytest.approx(
        (1 + 3 * again.results[0].cosines[0].cosine) * (1 + again.results[0].cosines[1].cosine)
    )


def test_stages_are_timed_and_add_up(shared: Served) -> None:
    timings = shared.search(image=photo()).timings
    stages = timings.decode_us + timings.encode_us + timings.rank_us + timings.refine_us
    assert min(timings.decode_us, timings.encode_us, timings.rank_us) > 0
    assert stages <= timings.total_us


def test_answer_names_index_models_and_request(
    shared: Served, bundle: IndexBundle, tiny_repository: Path
) -> None:
    response, call = shared.stub.Search.with_call(pb.SearchRequest(product_id="p0000"))
    members = ModelRepository(tiny_repository).ensemble("tiny")
    assert response.index_version == bundle.version
    assert [(m.name, m.digest, m.dimension, m.alpha) for m in response.models] == [
        (member.name, member.digest, member.dimension, alpha)
        for member, alpha in zip(members, (3.0, 1.0), strict=True)
    ]
    assert {model.weights for model in response.models} == {"made for tests"}
    assert [model.descriptor_bytes for model in response.models] == [40 * 24 * 4, 40 * 16 * 4]
    assert list(response.warnings) == []
    assert re.fullmatch("[0-9a-f]{16}", response.request_id)
    assert trailing(call)["request-id"] == response.request_id


def test_status_states_what_is_served(shared: Served, bundle: IndexBundle) -> None:
    status = shared.stub.GetStatus(pb.GetStatusRequest())
    assert status.server_version == version("beauty-retrieval")
    assert status.engine == "embedded"
    assert (status.index_version, status.profile) == (bundle.version, "tiny")
    assert status.product_count == 40
    assert status.models == shared.search(product_id="p0000").models
    assert status.text_index.document_count == 40
    assert status.text_index.pair_count == bundle.text_index.pair_count > 0
    assert status.text_index.threshold == bundle.manifest.text["threshold"]
    assert (status.default_top_k, status.default_keep) == (7, 3)
    assert list(status.warnings) == []
    (originals,) = status.search_levels  # a database this small has no other level
    assert (originals.name, originals.bytes, originals.resident) == (
        "originals",
        40 * (24 + 16) * 4,
        False,
    )


def test_status_reports_the_limits_that_the_server_enforces(shared: Served) -> None:
    limits = shared.stub.GetStatus(pb.GetStatusRequest()).limits
    model = shared.search(product_id="p0000").models[0].name
    assert (limits.max_image_bytes, limits.max_concurrent_requests) == (100_000, 200)
    largest = {
        "top_k": limits.max_top_k,
        "keep": limits.max_top_k,
        "alpha": {model: limits.max_alpha},
    }
    assert len(shared.search(product_id="p0000", **largest).results) == 39
    assert "bytes" not in shared.refused(image=bytes(limits.max_image_bytes)).details()
    for query in (
        {"image": bytes(limits.max_image_bytes + 1)},
        {"top_k": limits.max_top_k + 1, "product_id": "p0000"},
        {"keep": limits.max_top_k + 1, "product_id": "p0000"},
        {"alpha": {model: limits.max_alpha * 2}, "product_id": "p0000"},
    ):
        error = shared.refused(**query)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith(f"{next(iter(query))}: ")
    error = shared.refused(image=bytes(limits.max_request_bytes))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_random_weights_are_reported_with_every_answer(
    served_by: ServedBy,
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
) -> None:
    repository = shutil.copytree(tiny_repository, tmp_path / "model_repository")
    path = repository / "tiny_b" / "1" / "model.onnx"
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"weights": "random (seed 7)"})
    onnx.save(model, path)
    index = tmp_path / "index"
    IndexBuild(read_catalogue(tiny_catalogue), tiny_profile, EngineChoice(repository), index).run()
    with served_by(index=index, model_repository=repository) as served:
        answers = (
            served.search(image=photo()),
            served.search(product_id="p0000"),
            served.stub.GetStatus(pb.GetStatusRequest()),
        )
    for answer in answers:
        (warning,) = answer.warnings
        assert "tiny_b" in warning
        assert "results mean nothing" in warning


# Errors of the caller


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"image": b""}, "image: is empty"),
        ({"image": b"no image"}, "image: is not an image"),
        ({"image": photo()[:100]}, "image: is damaged"),
        ({"image": photo(), "top_k": 101}, "top_k: must be 1..100, got 101"),
        ({"image": photo(), "keep": 101}, "keep: must be 1..100, got 101"),
        ({"product_id": "p0000", "top_k": 2**32 - 1}, "top_k: must be 1..100"),
        ({"product_id": "p0000", "alpha": {"tiny_c": 1}}, "alpha: there is no model 'tiny_c'"),
        (
            {"product_id": "p0000", "alpha": {"tiny_a": -1}},
            "alpha: tiny_a must be 0..1e+06, got -1",
        ),
        (
            {"product_id": "p0000", "alpha": {"tiny_a": float("nan")}},
            "alpha: tiny_a must be 0..1e+06",
        ),
        ({"descriptors": pb.Descriptors()}, "descriptors: need exactly the models"),
        (
            {"descriptors": pb.Descriptors(by_model={m: pb.Descriptor() for m in ("tiny_a", "x")})},
            "descriptors: need exactly the models",
        ),
        (
            {
                "descriptors": pb.Descriptors(
                    by_model={
                        "tiny_a": pb.Descriptor(values=[1]),
                        "tiny_b": pb.Descriptor(values=[1] + 15 * [0]),
                    }
                )
            },
            "descriptors: tiny_a needs 24 values, got 1",
        ),
    ],
)
def test_unusable_request_is_invalid_argument_naming_the_field(
    shared: Served, fields: dict[str, object], problem: str
) -> None:
    error = shared.refused(**fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert problem in error.details()
    assert trailing(error)["request-id"]


def test_descriptors_that_are_not_unit_vectors_are_invalid_argument(
    shared: Served, bundle: IndexBundle
) -> None:
    descriptors = descriptors_of(bundle, 0)
    descriptors.by_model["tiny_a"].values[3] += 0.5
    error = shared.refused(descriptors=descriptors)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "tiny_a must have L2 norm 1" in error.details()


def test_image_above_the_limit_is_invalid_argument_with_both_sizes(shared: Served) -> None:
    error = shared.refused(image=bytes(100_001))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "100,001 bytes; at most 100,000" in error.details()


def test_request_far_above_the_limit_is_not_even_read(shared: Served) -> None:
    error = shared.refused(image=bytes(3 * 2**20))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_unknown_product_is_not_found(shared: Served) -> None:
    error = shared.refused(product_id="p9999")
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "'p9999' is not in the index" in error.details()


@pytest.mark.parametrize("fields", [{"product_id": "ü" * 50_000}, {"alpha": {"x" * 50_000: 1}}])
def test_very_long_name_is_quoted_in_part_and_the_status_still_arrives(
    shared: Served, fields: dict[str, object]
) -> None:
    """A status travels in HTTP/2 headers; one that does not fit becomes RESOURCE_EXHAUSTED."""
    error = shared.refused(**({"product_id": "p0000"} | fields))
    assert error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}
    assert len(error.details()) < 1000


def test_product_id_may_hold_any_character(shared: Served) -> None:
    for product_id in ("", "\0", "a\nb", "😀", "p0000 "):
        assert shared.refused(product_id=product_id).code() is grpc.StatusCode.NOT_FOUND


# Errors of the server


def test_unexpected_error_is_internal_with_a_request_id_and_no_traceback(
    puppet: Served, caplog: pytest.LogCaptureFixture
) -> None:
    puppet.engine.failure = ZeroDivisionError("a detail that is nobody's business")
    with caplog.at_level(logging.INFO):
        error = puppet.refused(image=photo())
    assert error.code() is grpc.StatusCode.INTERNAL
    request_id = trailing(error)["request-id"]
    assert request_id in error.details()
    for word in ("nobody's business", "Traceback", "ZeroDivision", "\n"):
        assert word not in error.details()
    (record,) = (record for record in caplog.records if record.exc_info)
    assert request_id in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_engine_that_cannot_be_reached_is_unavailable(puppet: Served) -> None:
    puppet.engine.failure = EngineUnavailableError("Triton at localhost:8001 does not answer.")
    error = puppet.refused(image=photo())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Triton at localhost:8001" in error.details()
    assert trailing(error)["request-id"]


def test_product_search_needs_no_engine(puppet: Served) -> None:
    puppet.engine.failure = EngineUnavailableError("down")
    assert len(puppet.search(product_id="p0000").results) == 7


def test_every_error_class_has_a_status() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.RetrievalError)
    ]
    assert len(kinds) > 8
    assert set(STATUS_OF_ERROR) <= set(kinds)
    expected = {
        errors.UnknownProductError: grpc.StatusCode.NOT_FOUND,
        errors.ImageError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.QueryError: grpc.StatusCode.INVALID_ARGUMENT,
        errors.EngineUnavailableError: grpc.StatusCode.UNAVAILABLE,
        errors.EngineDeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.ModelMismatchError: grpc.StatusCode.UNAVAILABLE,
        errors.ModelRepositoryError: grpc.StatusCode.UNAVAILABLE,
    }
    for kind in kinds:
        error = kind.__new__(kind)
        assert status_of(error) is expected.get(kind, grpc.StatusCode.INTERNAL), kind


def test_each_request_leaves_one_json_line_in_the_log(
    shared: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        request_id = shared.search(image=photo()).request_id
        shared.refused(product_id="p9999\n{}")
    answered, refused = json_records(caplog)
    assert answered["request_id"] == request_id
    assert answered["status"] == "OK"
    assert answered["results"] == 7
    assert answered["total_us"] > 0
    assert refused["status"] == "NOT_FOUND"
    assert "p9999" in str(refused["message"])


# Load


def test_a_hundred_calls_at_once_are_each_answered_like_a_single_one(shared: Served) -> None:
    queries = [
        pb.SearchRequest(image=photo(number))
        if number % 3
        else pb.SearchRequest(product_id=f"p0{number % 8}0{number % 5}")
        for number in range(100)
    ]
    calls = [shared.stub.Search.future(query, timeout=PATIENCE_S) for query in queries]
    answers = [call.result() for call in calls]
    for query, answer in zip(queries, answers, strict=True):
        assert without_times(answer) == without_times(shared.stub.Search(query))
    assert len({answer.request_id for answer in answers}) == 100


def test_full_server_refuses_further_searches_and_recovers(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=2) as served:
        served.hold()
        held = [served.stub.Search.future(pb.SearchRequest(image=photo(n))) for n in range(2)]
        for _ in held:
            assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        error = served.refused(product_id="p0000")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert trailing(error)["request-id"]
        with RetrievalClient(served.address) as client, pytest.raises(OverloadedError):
            client.similar("p0000")
        served.release()
        for number, call in enumerate(held):
            assert without_times(call.result(PATIENCE_S)) == without_times(
                served.search(image=photo(number))
            )


def test_full_server_is_still_healthy_and_says_its_status(served_by: ServedBy) -> None:
    """A probe that fails under load would have the server killed when it is needed most."""
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        held = served.stub.Search.future(pb.SearchRequest(image=photo()))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        check = health_pb2.HealthCheckRequest(service=SERVICE)
        assert served.health.Check(check, timeout=PATIENCE_S).status == SERVING
        status = served.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)
        assert status.product_count == 40
        served.release()
        held.result(PATIENCE_S)


def test_deadline_ends_a_call_and_frees_its_place(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        with pytest.raises(grpc.RpcError) as caught:
            served.search(image=photo(), timeout_s=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


def test_caller_that_hangs_up_frees_its_place(served_by: ServedBy) -> None:
    with served_by(max_concurrent_requests=1) as served:
        served.hold()
        call = served.stub.Search.future(pb.SearchRequest(image=photo()))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        call.cancel()
        assert served.engine.cancelled.wait(PATIENCE_S)
        served.release()
        assert len(served.search(image=photo()).results) == 7


# Health, reflection, shutdown


@pytest.mark.parametrize("service", ["", SERVICE])
def test_health_check_is_serving(shared: Served, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    assert shared.health.Check(request, timeout=PATIENCE_S).status == SERVING


def test_health_check_of_another_service_is_not_found(shared: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared.health.Check(health_pb2.HealthCheckRequest(service="else"), timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_watchers_see_that_the_server_stops_while_calls_in_progress_are_finished(
    served_by: ServedBy,
) -> None:
    with served_by() as served:
        served.hold()
        held = served.stub.Search.future(pb.SearchRequest(image=photo(3)))
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        watches = [
            served.health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)
            for name in ("", SERVICE)
        ]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING]
        stopping = threading.Thread(target=served.stop, args=(PATIENCE_S,))
        stopping.start()
        assert [next(watch).status for watch in watches] == [NOT_SERVING, NOT_SERVING]
        for watch in watches:
            watch.cancel()
        served.release()
        assert len(held.result(PATIENCE_S).results) == 7
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()


def test_reflection_lists_the_services_and_describes_ours(shared: Served) -> None:
    database = ProtoReflectionDescriptorDatabase(shared.channel)
    assert set(database.get_services()) == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    described = database.FindFileContainingSymbol(SERVICE)
    assert [method.name for method in described.service[0].method] == ["Search", "GetStatus"]


# The client's room against the real server


def test_client_gets_the_same_answer_as_the_raw_stub(shared: Served) -> None:
    raw = shared.search(image=photo(1), top_k=5, keep=1, alpha={"tiny_b": 2.0})
    with RetrievalClient(shared.address) as client:
        found = client.search(photo(1), top_k=5, keep=1, alpha={"tiny_b": 2.0})
    assert [match.product_id for match in found.results] == [m.product_id for m in raw.results]
    assert [match.similarity for match in found.results] == [m.similarity for m in raw.results]
    assert [match.attributes for match in found.results] == [
        dict(m.attributes) for m in raw.results
    ]
    assert found.results[0].stage is Stage.INITIAL
    assert [match.text is None for match in found.results] == [
        not match.HasField("text") for match in raw.results
    ]
    assert found.models[0].name == "tiny_a"


def test_client_translates_the_servers_errors(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        with pytest.raises(InvalidQueryError, match="image: is not an image"):
            client.search(b"no image")
        with pytest.raises(ProductNotFoundError, match="'p9999'"):
            client.similar("p9999")


def test_client_waits_until_the_server_is_ready(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        assert client.wait_until_ready(PATIENCE_S).product_count == 40
