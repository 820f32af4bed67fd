"""Grouped searches over a real gRPC server, and what a client makes of them."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from client import Column, InvalidQueryError, RetrievalClient
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.retrieval.search_result import Match
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search
from tests.support.paths import ROOT
from tests.support.reference_search import NoEngine
from tests.support.search_calls import descriptors_of, photo, without_times
from tests.support.served import Served, ServedBy
from tests.support.several_images import as_products


@pytest.fixture(scope="module")
def products(
    served_by: ServedBy,
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A server of eight products with five images each."""
    catalogue = catalogue_folder()
    as_products(catalogue)
    index = tmp_path_factory.mktemp("products") / "index"
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), index).run()
    with served_by(index=index) as server:
        yield server


@pytest.mark.parametrize("group_by", ["brand", "price"])
def test_groups_arrive_as_the_retriever_ranks_them(
    shared: Served, bundle: IndexBundle, group_by: str
) -> None:
    response = shared.search(
        descriptors=descriptors_of(bundle, 17), top_k=20, keep=2, group_by=group_by
    )
    query = tuple(database[17] for database in bundle.descriptors)
    parameters = SearchParameters(top_k=20, keep=2, group_by=group_by)
    expected = Retriever(bundle, NoEngine()).search(query, parameters)

    def ranked(matches: tuple[Match, ...]) -> list[tuple[str, float, int | None]]:
        return [(bundle.product_id(m.row), m.similarity, m.group_size) for m in matches]

    for messages, matches in (
        (response.results, expected.matches),
        (response.initial_results, expected.initial),
    ):
        assert [(m.product_id, m.similarity, m.group_size) for m in messages] == ranked(matches)
        values = [m.attributes[group_by] for m in messages]
        assert len(set(values)) == len(values) == {"brand": 4, "price": 5}[group_by]
    assert {m.group_size for m in response.results} == {40 // len(response.results)}
    assert response.searched_count == 40


def test_a_photo_a_product_and_words_are_grouped_among_what_may_be_found(shared: Served) -> None:
    part = {"exclude_ids": ["p0001"], "filter": (Column("price") < 8).message}
    for query, searched in (
        ({"image": photo(1)}, 23),  # three of the five members of each family
        ({"product_id": "p0000"}, 22),
        ({"words": "nuxe violet"}, 23),
    ):
        response = shared.search(**query, **part, group_by="brand", top_k=40)
        brands = [match.attributes["brand"] for match in response.results]
        assert len(set(brands)) == len(brands)
        assert response.searched_count == searched
        if "words" not in query:
            assert sum(match.group_size for match in response.results) == searched


def test_without_a_column_nothing_is_grouped(shared: Served) -> None:
    response = shared.search(image=photo(1), top_k=40)
    assert len(response.results) == 40
    assert not any(match.HasField("group_size") for match in response.results)
    empty = shared.search(image=photo(1), top_k=40, group_by="")
    assert without_times(empty) == without_times(response)


@pytest.mark.parametrize("query", [{"image": photo(1)}, {"product_id": "p0000"}, {"words": "nuxe"}])
def test_unusable_column_names_the_field_and_the_columns(
    shared: Served, query: dict[str, object]
) -> None:
    longest = shared.stub.GetStatus(pb.GetStatusRequest()).limits.max_group_by_characters
    for group_by, message in (
        ("id", "group_by: there is no column 'id'. Columns: 'brand' (text), 'price' (number)."),
        ("n" * (longest + 1), "group_by: has 1,001 characters; at most 1,000 are accepted."),
    ):
        error = shared.refused(**query, group_by=group_by)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == message


def test_client_groups_by_a_column(shared: Served) -> None:
    with RetrievalClient(shared.address) as client:
        for found in (
            client.search(photo(1), group_by="brand"),
            client.search(photo(1), group_by="brand", where=Column("brand") == "Nuxe"),
            client.search(words="nuxe", group_by="brand"),
            client.similar("p0000", group_by="brand"),
        ):
            brands = [match.attributes["brand"] for match in found.results]
            assert len(set(brands)) == len(brands) > 0
            sizes = {match.group_size for match in (*found.results, *found.initial_results)}
            assert sizes <= {9, 10}
        nothing = client.search(photo(1), group_by="brand", min_similarity=1e9)
        assert nothing.results == ()
        for group_by, problem in (("", "group_by is empty"), (3, "group_by: 3 is no text")):
            with pytest.raises(InvalidQueryError, match=problem):
                client.search(photo(1), group_by=group_by)


def test_products_like_one_are_each_found_once_and_none_is_the_product_itself(
    products: Served,
) -> None:
    response = products.search(product_id="p03#2", group_by="product", top_k=40)
    names = [match.attributes["product"] for match in response.results]
    assert sorted(names) == ["p00", "p01", "p02", "p04", "p05", "p06", "p07"]
    assert {match.group_size for match in response.results} == {5}
    assert response.searched_count == 35


# The examples of the guide

GUIDE = (ROOT / "docs/groups.md").read_text(encoding="utf-8")


def test_commands_of_the_guide_run(
    products: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    for place in (tmp_path / "photo.jpg", tmp_path / "photos" / "photo.jpg"):
        place.write_bytes(photo(1))
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^beauty-search .*--group-by .*$", GUIDE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command.partition(" > ")[0].replace("1024", "p00"))[1:]
        result = beauty_search(*words, "-s", products.address)
        assert result.exit_code == 0, (command, result.stderr)
        signs = ("images: how many", '"group_size":', "nothing found among 40 products")
        assert any(sign in result.stdout for sign in signs), result.stdout


def test_python_of_the_guide_runs(
    products: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo(1))
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    program = program.replace("localhost:50051", products.address).replace('"1024"', '"p00"')
    exec(compile(program, "docs/groups.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len({product for product, *_ in lines}) == 7
    assert all(image.startswith(product) and size == "5" for product, image, size in lines)
