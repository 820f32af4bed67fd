"""Verdicts over a real gRPC server: which queries get one, and that it is the export's."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import RetrievalClient
from export.calibration.calibrated_version import publish_calibration
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import QueryKind
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import decode_image
from retrieval_server.reading.reader import ReadLine
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from retrieval_server.serving.calls.judged_queries import judged_kind
from retrieval_server.serving.calls.photo_words import NOT_READ, PhotoLine, PhotoWords
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.made_up_calibration import made_up_calibration
from tests.support.patience import PATIENCE_S
from tests.support.reference_search import NoEngine
from tests.support.search_calls import descriptors_of, photo
from tests.support.served import Served, ServedBy


@pytest.fixture(scope="module")
def index(tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a calibration."""
    root = shutil.copytree(tiny_index, tmp_path_factory.mktemp("calibrated") / "index")
    publish_calibration(open_index(root), made_up_calibration())
    return root


@pytest.fixture(scope="module")
def judging(served_by: ServedBy, index: Path) -> Iterator[Served]:
    with served_by(index=index) as served:
        yield served


def has_verdict(response: pb.SearchResponse) -> bool:
    fields = {response.HasField("in_catalogue_probability")}
    fields |= {m.HasField("confidence") for m in (*response.results, *response.initial_results)}
    assert len(fields) == 1
    return fields.pop()


@pytest.mark.parametrize("words", ["", "nuxe violet"])
def test_a_photo_gets_the_verdict_that_the_export_computes(
    judging: Served, index: Path, words: str
) -> None:
    bundle = open_index(index)
    pixels = decode_image(photo(1), bundle.profile.side)
    query = judging.result(judging.running.index_watch._served.retriever.encode(pixels))
    kind = QueryKind.of(typed=bool(words), read=False)
    expected = Retriever(bundle, NoEngine()).search(query, SearchParameters(words=words, kind=kind))

    response = judging.search(image=photo(1), words=words)

    assert response.in_catalogue_probability == expected.in_catalogue_probability
    assert [match.confidence for match in response.results] == [
        match.confidence for match in expected.matches
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"more_images": [photo(2)]},
        {"alpha": {"tiny_a": 1.0}},
        {"words": "nuxe", "text_weight": 0.5},
        {"exclude_ids": ["p0000"]},
        {"min_similarity": 0.0},
        {"group_by": "brand"},
    ],
)
def test_a_photo_that_is_searched_in_another_way_gets_none(
    judging: Served, fields: dict[str, object]
) -> None:
    assert not has_verdict(judging.search(image=photo(1), **fields))


def test_what_is_no_photo_gets_none(judging: Served, index: Path) -> None:
    bundle = open_index(index)
    assert not has_verdict(judging.search(product_id="p0000"))
    assert not has_verdict(judging.search(descriptors=descriptors_of(bundle, 0)))
    assert not has_verdict(judging.search(words="nuxe"))


@pytest.mark.parametrize(
    "fields",
    [{"top_k": 1}, {"top_k": 20, "keep": 1}, {"refine": False}, {"words": " 💄 "},
     {"words": "nuxe", "text_weight": 0.0}, {"alpha": {"tiny_a": 3.0}}],
)  # fmt: skip
def test_what_changes_no_input_of_the_verdict_changes_no_verdict(
    judging: Served, fields: dict[str, object]
) -> None:
    usual = judging.search(image=photo(1))
    found = judging.search(image=photo(1), **fields)
    assert has_verdict(found)
    assert found.in_catalogue_probability == usual.in_catalogue_probability


def test_an_index_without_calibration_gives_none(shared: Served) -> None:
    assert not has_verdict(shared.search(image=photo(1)))
    assert not shared.stub.GetStatus(pb.GetStatusRequest()).HasField("calibration")


def test_the_status_says_how_good_the_probabilities_are(judging: Served) -> None:
    with RetrievalClient(judging.address) as client:
        calibration = client.status().calibration
    assert calibration is not None
    assert calibration.product_count == 40
    assert [kind.name for kind in calibration.kinds] == sorted(QueryKind)
    (kind,) = (kind for kind in calibration.kinds if kind.name == "photo")
    assert (kind.query_count, kind.in_catalogue.auroc) == (50, 0.9)


def test_a_server_serves_the_calibration_that_an_index_gets(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=0.01) as served:
        assert not has_verdict(served.search(image=photo(1)))
        publish_calibration(open_index(tiny_index_copy), made_up_calibration())
        deadline = time.monotonic() + PATIENCE_S
        while not has_verdict(served.search(image=photo(1))):
            assert time.monotonic() < deadline


class ReaderOf:
    """A reader that has a digest only."""

    def __init__(self, digest: str) -> None:
        self.digest = digest


def printed(text: str) -> PhotoWords:
    """A photo on which a line was read."""
    return PhotoWords((PhotoLine(0, ReadLine(text, 0.9, ((0.0, 0.0),) * 4)),))


READ = printed("Nuxe")


@pytest.mark.parametrize(
    ("fields", "words", "kind"),
    [
        ({}, NOT_READ, QueryKind.PHOTO),
        ({}, READ, QueryKind.READ),
        ({"words": "nuxe"}, NOT_READ, QueryKind.TYPED),
        ({"words": "nuxe"}, READ, QueryKind.BOTH),
        ({"words": "nuxe", "text_weight": 0.0}, READ, QueryKind.PHOTO),
        ({}, PhotoWords(warning="no time"), QueryKind.PHOTO),
        ({}, printed("+ - ."), QueryKind.PHOTO),
        ({"more_images": [b""]}, NOT_READ, None),
    ],
)
def test_a_request_has_the_kind_of_its_photo_and_words(
    bundle: IndexBundle,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    words: PhotoWords,
    kind: QueryKind | None,
) -> None:
    request = pb.SearchRequest(image=b"photo", **fields)
    monkeypatch.setattr(bundle, "calibration", made_up_calibration(reader="ours"))
    assert judged_kind(request, words, bundle, ReaderOf("ours")) == kind


def test_a_photo_that_another_reader_has_read_gets_no_verdict(
    bundle: IndexBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = pb.SearchRequest(image=b"photo")
    monkeypatch.setattr(bundle, "calibration", made_up_calibration(reader="ours"))
    assert judged_kind(request, READ, bundle, ReaderOf("theirs")) is None
    assert judged_kind(request, NOT_READ, bundle, ReaderOf("theirs")) is QueryKind.PHOTO
