"""Searches whose photos are read, over a real gRPC server with the real reader."""

import asyncio
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.manifest_edit import change_manifest
from tests.support.patience import PATIENCE_S, growing_deadlines
from tests.support.search_calls import photo, without_times
from tests.support.served import Served, ServedBy
from tests.support.text_photo import text_image


@pytest.fixture(scope="module")
def index(
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An index whose profile names a reader."""
    root = tmp_path_factory.mktemp("index")
    profile = replace(tiny_profile, reader="ppocr")
    IndexBuild(read_catalogue(tiny_catalogue), profile, EngineChoice(tiny_repository), root).run()
    return root


@pytest.fixture(scope="module")
def reading(served_by: ServedBy, index: Path, reader_repository: Path) -> Iterator[Served]:
    """A server that reads the words on photos."""
    with served_by(index=index, model_repository=reader_repository) as served:
        yield served


def printed(*texts: str) -> bytes:
    """A photo with text."""
    file = io.BytesIO()
    text_image(*texts).save(file, "PNG")
    return file.getvalue()


def texts_of(response: pb.SearchResponse) -> list[str]:
    return [line.text for line in response.read_lines]


@pytest.fixture
def engine_as_before(reading: Served) -> Iterator[None]:
    yield
    reading.engine.reading_failure = reading.engine.reading_gate = None


def test_words_that_are_read_count_like_typed_ones(reading: Served) -> None:
    image = printed("NUXE", "Bioderma 100 ml")
    response = reading.search(image=image)
    assert texts_of(response) == ["NUXE", "Bioderma 100 ml"]
    typed = reading.search(image=image, words="NUXE\nBioderma 100 ml", read_words=False)
    assert not typed.read_lines
    assert typed.results == response.results
    assert response.results[0].words.cosine > 0
    assert response.timings.read_us > 0


def test_a_line_has_its_box_and_its_confidence(reading: Served) -> None:
    (line,) = reading.search(image=printed("NUXE")).read_lines
    assert 0.5 <= line.confidence <= 1
    assert line.photo == 0
    left_top, right_top, right_bottom, left_bottom = line.corners
    assert 20 < left_top.x < 60 < right_top.x < 250
    assert 20 < left_top.y < left_bottom.y < 110
    assert abs(right_bottom.y - left_bottom.y) < 10


def test_typed_words_come_before_those_that_are_read(reading: Served) -> None:
    image = printed("NUXE")
    both = reading.search(image=image, words="violet")
    typed = reading.search(image=image, words="violet\nNUXE", read_words=False)
    assert both.results == typed.results


def test_the_words_of_all_photos_count(reading: Served) -> None:
    response = reading.search(image=printed("NUXE"), more_images=[printed("Bioderma")])
    assert [(line.photo, line.text) for line in response.read_lines] == [
        (0, "NUXE"),
        (1, "Bioderma"),
    ]


def test_without_reading_the_answer_is_that_of_the_photo_alone(
    reading: Served, served_by: ServedBy
) -> None:
    image = printed("NUXE")
    unread = reading.search(image=image, read_words=False)
    with served_by() as plain:  # no reader at all
        expected = plain.search(image=image)
    assert [match.similarity for match in unread.results] == [
        match.similarity for match in expected.results
    ]
    weightless = reading.search(image=image, text_weight=0.0)
    assert without_times(weightless) == without_times(unread)
    assert unread.timings.read_us == 0


def test_a_photo_without_text_is_searched_as_it_is(reading: Served) -> None:
    blank = printed()
    response = reading.search(image=blank)
    assert texts_of(response) == []
    assert response.results == reading.search(image=blank, read_words=False).results


def test_the_status_says_whether_words_are_read(reading: Served, shared: Served) -> None:
    status = reading.stub.GetStatus(pb.GetStatusRequest())
    assert (status.reader, status.default_read_words) == ("ppocr", True)
    status = shared.stub.GetStatus(pb.GetStatusRequest())
    assert (status.reader, status.default_read_words) == ("", False)


@pytest.fixture
def read_index(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    reader_repository: Path,
    tmp_path: Path,
) -> Path:
    """An index of four images that were read; one has a word on it."""
    folder = catalogue_folder(families=2, members=2)
    text_image("NUXE").save(next((folder / "images").iterdir()))
    profile, engine = replace(tiny_profile, reader="ppocr"), EngineChoice(reader_repository)
    root = tmp_path / "read"
    IndexBuild(read_catalogue(folder), profile, engine, root, reads_images=True).run()
    return root


def test_the_status_says_what_words_are_compared_with(
    served_by: ServedBy, read_index: Path, reader_repository: Path
) -> None:
    digest = open_index(read_index).manifest.words.reader
    with served_by(index=read_index, model_repository=reader_repository) as served:
        words = served.stub.GetStatus(pb.GetStatusRequest()).word_index
    assert (list(words.columns), words.text_count) == (["brand"], 4)
    assert (words.reader, words.reader_digest, words.read_image_count) == ("ppocr", digest, 1)


def upsert(served: Served, image: bytes) -> pb.UpsertResponse:
    request = pb.UpsertRequest(product_id="new", image=image)
    (response,) = served.stub.Upsert(iter([request]), timeout=PATIENCE_S)
    return response


def test_the_words_on_a_new_image_are_found_where_those_of_the_index_were_read(
    served_by: ServedBy, read_index: Path, reader_repository: Path
) -> None:
    image = printed("Bioderma 100 ml")
    with served_by(index=read_index, model_repository=reader_repository, writable=True) as served:
        served.engine.reading_failure = EngineUnavailableError("the reader is gone.")
        refused = upsert(served, image)
        assert refused.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert refused.message == (
            "The words on the photo were not read: the reader is gone. Send the product again."
        )
        served.engine.reading_failure = None
        assert upsert(served, image).code == 0
        best = served.search(words="bioderma").results[0]
    assert (best.product_id, [each.word for each in best.words.matched]) == ("new", ["bioderma"])


@pytest.mark.parametrize("has_other", [True, False])
def test_a_server_without_the_reader_of_the_index_says_once_that_it_does_not_read(
    served_by: ServedBy,
    read_index: Path,
    reader_repository: Path,
    tiny_repository: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    has_other: bool,
) -> None:
    if has_other:
        version = read_index / (read_index / "current").read_text().strip()
        change_manifest(version, lambda data: data["words"].update(reader="0" * 64))
    repository = reader_repository if has_other else tiny_repository
    with served_by(index=read_index, model_repository=repository, writable=True) as served:
        assert upsert(served, printed("Bioderma")).code == 0
        assert [each.product_id for each in served.search(words="bioderma").results] == []
    (line,) = [each.message for each in caplog.records if "are not read" in each.message]
    assert ("has none" in line) is not has_other


def test_the_status_says_that_images_were_not_read(reading: Served) -> None:
    words = reading.stub.GetStatus(pb.GetStatusRequest()).word_index
    assert (list(words.columns), words.reader, words.reader_digest) == (["brand"], "", "")


def test_a_server_without_reader_refuses_to_read(shared: Served) -> None:
    error = shared.refused(image=photo(), read_words=True)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("read_words: this server has no reader.")


def test_a_server_may_leave_reading_to_those_who_ask(
    served_by: ServedBy, index: Path, reader_repository: Path
) -> None:
    with served_by(
        index=index, model_repository=reader_repository, default_read_words=False
    ) as served:
        assert texts_of(served.search(image=printed("NUXE"))) == []
        assert texts_of(served.search(image=printed("NUXE"), read_words=True)) == ["NUXE"]


@pytest.mark.usefixtures("engine_as_before")
def test_a_reader_that_fails_leaves_a_search_without_words_that_says_so(reading: Served) -> None:
    image = printed("NUXE")
    reading.engine.reading_failure = EngineUnavailableError("the reader is gone")
    response = reading.search(image=image)
    assert list(response.warnings) == ["The words on the photo were not read: the reader is gone"]
    assert response.results == reading.search(image=image, read_words=False).results


@pytest.mark.usefixtures("engine_as_before")
def test_reading_that_takes_too_long_leaves_time_for_an_answer_without(reading: Served) -> None:
    image = printed("NUXE")
    reading.engine.reading_gate = asyncio.Event()
    for timeout_s in growing_deadlines(1.0):
        call = reading.stub.Search.future(pb.SearchRequest(image=image), timeout=timeout_s)
        if call.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            break
    response = call.result()
    (warning,) = response.warnings
    assert "there was no time for it" in warning
    assert response.results == reading.search(image=image, read_words=False).results


def test_beta_of_the_profile_is_the_default_and_zero_reads_nothing(
    served_by: ServedBy, index: Path, reader_repository: Path, tmp_path: Path
) -> None:
    image = printed("NUXE")
    for beta in (3.0, 0.0):
        copied = shutil.copytree(index, tmp_path / str(beta))
        version = copied / (copied / "current").read_text().strip()
        change_manifest(version, lambda data, beta=beta: data["profile"].update(text_weight=beta))
        with served_by(index=copied, model_repository=reader_repository) as served:
            status = served.stub.GetStatus(pb.GetStatusRequest())
            unset = served.search(image=image)
            set_so = served.search(image=image, text_weight=beta)
        assert status.default_text_weight == beta
        assert status.default_read_words == bool(beta)
        assert without_times(unset) == without_times(set_so)
        assert bool(unset.read_lines) == bool(beta)


def test_an_unusable_filter_is_refused_like_any_other_field(reading: Served) -> None:
    error = reading.refused(image=printed("NUXE"), filter=pb.Filter())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("filter: a part of it is empty")
