"""The calls of the service over a real gRPC server: queries, and results with their provenance."""

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import grpc
import onnx
import pytest

from client import RetrievalClient, Stage
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.manifest_edit import change_manifest
from tests.support.search_calls import descriptors_of, photo, trailing, without_times
from tests.support.served import Served, ServedBy

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


def test_status_lists_the_columns_of_the_catalogue(shared: Served) -> None:
    brand, price = shared.stub.GetStatus(pb.GetStatusRequest()).columns
    assert brand == pb.CatalogueColumn(name="brand", kind=pb.COLUMN_KIND_TEXT, distinct_count=4)
    assert price == pb.CatalogueColumn(name="price", kind=pb.COLUMN_KIND_NUMBER, distinct_count=5)


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


def test_status_repeats_what_the_build_said_of_the_texts_and_searches_do_not(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    said = "8 of 40 descriptions (20.0%) are similar to 'See pack'."
    version = tiny_index_copy / (tiny_index_copy / "current").read_text().strip()
    change_manifest(version, lambda data: data["text"].update(warnings=[said]))
    change_manifest(version, lambda data: data["columns"][0].update(stray="12,50"))
    with served_by(index=tiny_index_copy) as served:
        warnings = list(served.stub.GetStatus(pb.GetStatusRequest()).warnings)
        assert warnings[0] == said
        assert "'brand' holds texts, not numbers, because of '12,50'" in warnings[1]
        assert list(served.search(image=photo()).warnings) == []


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
