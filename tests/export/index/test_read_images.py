"""The words on a catalogue's images: read once, kept, and compared with the words of a query."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.errors import EngineUnavailableError, ModelRepositoryError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.photo import Photo
from retrieval_server.models.profile import Profile
from retrieval_server.reading.reader import Reader, ReadLine
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.support.former_format import as_format_5
from tests.support.reference_search import NoEngine
from tests.support.text_photo import text_image

TEXTS = {"a": ["NUXE", "BODY OIL"], "b": ["Bioderma 100 ml"], "c": []}


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    lines = ["id,image,description"]
    for name, texts in TEXTS.items():
        text_image(*texts).save(folder / f"{name}.png")
        lines.append(f"{name},{name}.png,a thing")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def build(
    catalogue: Path, tmp_path: Path, tiny_profile: Profile, reader_repository: Path
) -> Callable[..., IndexBundle]:
    def run(**changed: object) -> IndexBundle:
        profile = replace(tiny_profile, reader="ppocr")
        engine = EngineChoice(reader_repository)
        settings = {"reads_images": True} | changed
        IndexBuild(read_catalogue(catalogue), profile, engine, tmp_path / "index", **settings).run()
        return open_index(tmp_path / "index")

    return run


@pytest.fixture
def photos_read(monkeypatch: pytest.MonkeyPatch) -> list[Photo]:
    """The photos that are read; a test may limit how many."""
    photos: list[Photo] = []
    read = Reader.read

    async def counting(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
        photos.append(photo)
        return await read(reader, photo)

    monkeypatch.setattr(Reader, "read", counting)
    return photos


def texts_of(bundle: IndexBundle) -> dict[str, list[str]]:
    return {
        bundle.product_id(row): [line.text for line in bundle.read(row)]
        for row in range(len(bundle))
    }


def found_by(bundle: IndexBundle, words: str) -> list[str]:
    matches = Retriever(bundle, NoEngine()).search_by_words(SearchParameters(words=words)).matches
    return [bundle.product_id(match.row) for match in matches]


def test_products_are_found_by_the_words_on_their_images(
    build: Callable[..., IndexBundle],
) -> None:
    bundle = build()
    assert texts_of(bundle) == TEXTS
    assert found_by(bundle, "nuxe") == ["a"]
    assert found_by(bundle, "bodyoil") == ["a"]
    assert found_by(bundle, "bioderma") == ["b"]
    parameters = SearchParameters(words="nuxe")
    (match,) = Retriever(bundle, NoEngine()).search_by_words(parameters).matches
    assert match.words is not None
    assert [word.word for word in match.words.matched] == ["nuxe"]
    assert all(0.5 <= line.confidence <= 1 for line in bundle.read(0))


def test_an_index_whose_images_were_not_read_has_no_words_of_them(
    build: Callable[..., IndexBundle],
) -> None:
    bundle = build(reads_images=False)
    assert texts_of(bundle) == {"a": [], "b": [], "c": []}
    assert found_by(bundle, "nuxe") == []


def test_the_words_of_an_index_of_the_former_format_are_taken_over(
    build: Callable[..., IndexBundle], photos_read: list[Photo]
) -> None:
    as_format_5(build().folder)
    photos_read.clear()
    assert texts_of(build()) == TEXTS
    assert photos_read == []


def test_an_image_is_read_once_for_all_versions(
    build: Callable[..., IndexBundle], catalogue: Path, photos_read: list[Photo]
) -> None:
    first = build()
    assert len(photos_read) == 3
    text_image("Caudalie").save(catalogue / "c.png")
    second = build()
    assert len(photos_read) == 4
    assert texts_of(second) == TEXTS | {"c": ["Caudalie"]}
    assert second.version != first.version


def test_a_build_that_fails_goes_on_where_it_was(
    build: Callable[..., IndexBundle], photos_read: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Reader.read
    finished = 0

    async def failing(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
        nonlocal finished
        if len(photos_read) == 2:
            while finished < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)  # the second one is kept by its own task
            raise EngineUnavailableError("the power is gone")
        read = await counting(reader, photo)
        finished += 1
        return read

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "read", failing)
        with pytest.raises(EngineUnavailableError, match="the power is gone"):
            build()
    assert len(photos_read) == 2
    assert texts_of(build()) == TEXTS
    assert len(photos_read) == 3


def test_a_profile_without_reader_is_refused_before_anything_is_described(
    catalogue: Path, tmp_path: Path, tiny_profile: Profile, tiny_repository: Path
) -> None:
    for profile, message in (
        (tiny_profile, "Profile tiny names no reader"),
        (replace(tiny_profile, reader="ppocr"), "The reader ppocr is not in"),
    ):
        build = IndexBuild(
            read_catalogue(catalogue),
            profile,
            EngineChoice(tiny_repository),
            tmp_path / "index",
            reads_images=True,
        )
        with pytest.raises(ModelRepositoryError, match=message):
            build.run()
    assert not (tmp_path / "index").exists()
