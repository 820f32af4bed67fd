"""Filtered searches over a real gRPC server: by message, in Python, and as they are typed."""

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from client import Column, InvalidQueryError, RetrievalClient
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search, json_lines
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.search_calls import photo
from tests.support.served import Served, ServedBy

COLUMNS = (
    "'brand' (text), 'price' (number), 'shade' (text), 'in_stock' (truth), 'country' (text), "
    "'skin type' (text), 'size' (text)"
)


@pytest.fixture(scope="module")
def index(
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny catalogue with further columns, some of their values missing."""
    folder = shutil.copytree(tiny_catalogue, tmp_path_factory.mktemp("filtered") / "catalogue")
    with (folder / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "shade", "in_stock", "country", "skin type", "size"])
        for number, row in enumerate(rows):
            shade = ("Ruby", "Amber", "Ocean", "")[number % 4]
            stock = ("true", "false", "")[number % 3]
            country, skin = ("", "FR")[number % 2], ("dry", "oily")[number % 2]
            writer.writerow([*row, shade, stock, country, skin, ("30", "50 ml")[number % 2]])
    output = folder.parent / "index"
    IndexBuild(read_catalogue(folder), tiny_profile, EngineChoice(tiny_repository), output).run()
    return output


@pytest.fixture(scope="module")
def filtered(served_by: ServedBy, index: Path) -> Iterator[Served]:
    with served_by(index=index) as server:
        yield server


@pytest.fixture(scope="module")
def bundle(index: Path) -> IndexBundle:
    return open_index(index)


def attributes_of(bundle: IndexBundle) -> list[dict[str, str]]:
    return [bundle.product(row).attributes for row in range(len(bundle))]


def found(response: pb.SearchResponse) -> set[str]:
    return {match.product_id for match in (*response.results, *response.initial_results)}


BRAND = pb.Filter(equals=pb.Equals(column="brand", value=pb.Value(text="Nuxe")))
CHEAP = pb.Filter(range=pb.Range(column="price", below=7.99))


@pytest.mark.parametrize("query", [{"image": photo(1)}, {"product_id": "p0000"}, {"words": "jar"}])
def test_filter_holds_for_every_kind_of_query_in_both_stages(
    filtered: Served, bundle: IndexBundle, query: dict[str, object]
) -> None:
    both = pb.Filter(all_of=pb.Filters(filters=[BRAND, CHEAP]))
    response = filtered.search(**query, filter=both, top_k=40, keep=1)
    passing = {
        bundle.product_id(row)
        for row, attributes in enumerate(attributes_of(bundle))
        if attributes["brand"] == "Nuxe" and float(attributes["price"]) < 7.99
    }
    assert passing
    assert response.searched_count == len(passing)  # p0000 does not pass
    if "words" in query:
        assert found(response) <= passing
    else:
        assert found(response) == passing
        assert len(response.results) == len(response.initial_results) == len(passing)


def test_text_neighbours_that_do_not_pass_are_not_counted(
    filtered: Served, bundle: IndexBundle
) -> None:
    row = bundle.row_of("p0000")
    assert row is not None
    neighbours, _ = bundle.text_index.neighbours(row)
    stock = pb.Filter(equals=pb.Equals(column="in_stock", value=pb.Value(truth=True)))
    response = filtered.search(image=photo(1), filter=stock, keep=1, top_k=20)
    (seed,) = [match for match in response.results if match.stage == pb.STAGE_INITIAL]
    seed_row = bundle.row_of(seed.product_id)
    assert seed_row is not None
    neighbours, _ = bundle.text_index.neighbours(seed_row)
    in_stock = [
        n for n in neighbours.tolist() if bundle.product(n).attributes.get("in_stock") == "true"
    ]
    assert response.subset_size == len(in_stock) < len(neighbours)


def test_filter_that_nothing_passes_finds_nothing(filtered: Served) -> None:
    nothing = pb.Filter(equals=pb.Equals(column="brand", value=pb.Value(text="Nobody")))
    for query in ({"image": photo(1)}, {"product_id": "p0000"}, {"words": "jar"}):
        response = filtered.search(**query, filter=nothing)
        assert (found(response), response.subset_size) == (set(), 0)


def test_filter_and_excluded_ids_hold_together(filtered: Served) -> None:
    whole = filtered.search(image=photo(1), filter=BRAND, top_k=40)
    first = whole.results[0].product_id
    rest = filtered.search(image=photo(1), filter=BRAND, exclude_ids=[first], top_k=40)
    assert found(rest) == found(whole) - {first}


def nested(depth: int) -> pb.Filter:
    message = BRAND
    for _ in range(depth - 1):
        message = pb.Filter(none_of=pb.Filters(filters=[message]))
    return message


def many(conditions: int) -> pb.Filter:
    return pb.Filter(any_of=pb.Filters(filters=[BRAND] * conditions))


def among(values: int) -> pb.Filter:
    texts = [pb.Value(text=str(value)) for value in range(values)]
    return pb.Filter(one_of=pb.OneOf(column="brand", values=texts))


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (pb.Filter(), "a part of it is empty; set one of all_of, any_of, none_of, equals, one_of,"),
        (pb.Filter(all_of=pb.Filters(filters=[BRAND, pb.Filter()])), "a part of it is empty; set"),
        (pb.Filter(any_of=pb.Filters()), "any_of has no filters; give at least one."),
        (
            pb.Filter(equals=pb.Equals(column="brand")),
            "equals on column 'brand' has a value that is neither text, number nor truth value.",
        ),
        (
            pb.Filter(equals=pb.Equals(column="colour", value=pb.Value(text="red"))),
            f"there is no column 'colour'. Columns: {COLUMNS}.",
        ),
        (
            pb.Filter(equals=pb.Equals(column="price", value=pb.Value(text="9.99"))),
            f"column 'price' holds numbers, and '9.99' is a text. Columns: {COLUMNS}.",
        ),
        (
            pb.Filter(one_of=pb.OneOf(column="brand")),
            f"one_of on column 'brand' has no values; give at least one. Columns: {COLUMNS}.",
        ),
        (pb.Filter(range=pb.Range(column="price")), "range on column 'price' has no end; give"),
        (
            pb.Filter(range=pb.Range(column="price", below=float("nan"))),
            f"column 'price' is compared with NaN; give a number. Columns: {COLUMNS}.",
        ),
        (nested(17), "is deeper than 16 filters in one another. Send a smaller one."),
        (many(101), "has more than 100 conditions. Send a smaller one."),
        (among(1001), "has more than 1,000 values. Send a smaller one."),
    ],
)
def test_unusable_filter_says_what_is_wrong_with_it(
    filtered: Served, message: pb.Filter, problem: str
) -> None:
    for query in ({"image": photo(1)}, {"product_id": "p0000"}, {"words": "jar"}):
        error = filtered.refused(**query, filter=message)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith(f"filter: {problem}")


def test_filters_as_large_as_the_status_says_are_accepted(filtered: Served) -> None:
    limits = filtered.stub.GetStatus(pb.GetStatusRequest()).limits
    for message in (
        nested(limits.max_filter_depth),
        many(limits.max_filter_conditions),
        among(limits.max_filter_values),
    ):
        filtered.search(image=photo(1), filter=message)


def wire(field: int, content: bytes) -> bytes:
    """A field of bytes as the protocol encodes it."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([field << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize("depth", [40, 60, 5_000])
def test_filter_of_any_depth_is_refused_and_leaves_the_server_as_it_was(
    filtered: Served, depth: int
) -> None:
    message = BRAND.SerializeToString()
    for _ in range(depth):
        message = wire(3, wire(1, message))
    request = pb.SearchRequest(product_id="p0000").SerializeToString() + wire(12, message)
    search = filtered.channel.unary_unary(
        "/retrieval_server.v1.RetrievalService/Search", lambda data: data, lambda data: data
    )
    with pytest.raises(grpc.RpcError) as caught:
        search(request, timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(filtered.search(product_id="p0000").results) == 7


# In Python and as they are typed


def test_python_expression_finds_what_its_conditions_say(
    filtered: Served, bundle: IndexBundle
) -> None:
    wanted = (Column("price") < 8) & Column("brand").one_of("Nuxe", "Bioderma")
    wanted = wanted & ~Column("shade").is_missing()
    with RetrievalClient(filtered.address) as client:
        result = client.search(photo(1), where=wanted, top_k=40)
        similar = client.similar("p0000", where=wanted, top_k=40)
        with pytest.raises(InvalidQueryError, match=r"there is no column 'pric'\. Did you mean"):
            client.search(photo(1), where=Column("pric") < 8)
    passing = {
        bundle.product_id(row)
        for row, each in enumerate(attributes_of(bundle))
        if float(each["price"]) < 8 and each["brand"] in ("Nuxe", "Bioderma") and "shade" in each
    }
    assert {match.product_id for match in result.results} == passing
    assert {match.product_id for match in similar.results} == passing


def test_typed_conditions_are_joined_and_shown_with_the_results(filtered: Served) -> None:
    result = beauty_search(
        "similar", "p0000", "-s", filtered.address, "--json", "-k", "40",
        "--where", "brand = L'Oréal", "--where", "price >= 6",
        "--where", "shade in (Ruby, 'Amber')",
    )  # fmt: skip
    (record,) = json_lines(result.stdout)
    assert record["results"]
    for match in record["results"]:
        assert match["attributes"]["brand"] == "L'Oréal"
        assert float(match["attributes"]["price"]) >= 6
        assert match["attributes"]["shade"] in ("Ruby", "Amber")


def test_conditions_hold_for_every_image_of_a_batch(filtered: Served, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(photo(number))
    condition = "brand not in (Nuxe, Bioderma)"
    result = beauty_search(
        "batch", tmp_path, "-s", filtered.address, "--json", "--where", condition
    )
    records = json_lines(result.stdout)
    assert len(records) == 2
    for record in records:
        brands = {match["attributes"]["brand"] for match in record["results"]}
        assert brands
        assert not brands & {"Nuxe", "Bioderma"}


def test_typed_condition_that_no_product_meets_says_among_how_many_nothing_was_found(
    filtered: Served,
) -> None:
    result = beauty_search("similar", "p0000", "-s", filtered.address, "--where", "brand = nuxe")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "nothing found among 0 products" in result.stdout
    far = ("--where", "price < 8", "--min-similarity", "1e9")
    result = beauty_search("similar", "p0000", "-s", filtered.address, *far)
    assert "nothing found among 23 products" in result.stdout


def test_condition_that_cannot_be_read_is_misuse_and_one_that_does_not_fit_a_failure(
    filtered: Served,
) -> None:
    result = beauty_search("similar", "p0000", "-s", filtered.address, "--where", "price < cheap")
    assert result.exit_code == 2
    assert "only numbers go with <, such as 30 or 12.50" in " ".join(result.stderr.split())
    result = beauty_search("similar", "p0000", "-s", filtered.address, "--where", "size = 30")
    assert result.exit_code == 1
    assert "column 'size' holds texts, and 30 is a number" in result.stderr


# The examples of the documents

WHERE = re.compile(r"--where '((?:[^'])*)'")
DOCUMENTS = ("README.md", "docs/filters.md", "docs/serving.md")


def test_commands_of_the_documents_run(filtered: Served, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for place in (tmp_path / "photo.jpg", tmp_path / "photos" / "photo.jpg"):
        place.write_bytes(photo(1))
    commands = {
        line.split(" #")[0]
        for document in DOCUMENTS
        for line in (ROOT / document).read_text(encoding="utf-8").splitlines()
        if line.startswith("beauty-search ") and ("--where" in line or "--exclude" in line)
    }
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command.partition(" > ")[0])[1:]
        words = [str(tmp_path / word) if word.startswith("photo") else word for word in words]
        words = ["p0000" if word == "1024" else word for word in words]
        assert beauty_search(*words, "-s", filtered.address).exit_code == 0, command


def test_conditions_of_the_guide_run(filtered: Served) -> None:
    text = (ROOT / "docs/filters.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    conditions = re.findall(r"`([^`]+)`", "".join(row.split("|")[1] for row in table.splitlines()))
    conditions += re.findall(r"`((?:size|'skin type') = [^`]+)`", text)
    assert len(conditions) == 12
    for condition in conditions:
        result = beauty_search("similar", "p0000", "-s", filtered.address, "--where", condition)
        assert result.exit_code == 0, (condition, result.stderr)


def test_python_of_the_guide_runs(
    filtered: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo(1))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/filters.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    program = program.replace("localhost:50051", filtered.address).replace('"1024"', '"p0000"')
    exec(compile(program, "docs/filters.md", "exec"), {})
