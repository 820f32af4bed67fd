"""The words of queries in a tuning are those of a search, and so is their similarity."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.ground_truth.queries import Query
from export.index.build import IndexBuild
from export.tuning.words import ImageReader, WordSources
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from tests.support.text_photo import text_image


@pytest.fixture
def dataset(catalogue_folder: Callable[..., Path]) -> Path:
    """A small catalogue, one of whose images has words."""
    folder = catalogue_folder(families=2, members=2)
    text_image("caudalie").save(folder / "images" / "p0001.jpg")
    text_image("NUXE caudalie").save(folder / "queries" / "text.png")
    return folder


def query(dataset: Path, name: str, words: str = "") -> Query:
    return Query(dataset / "queries" / name, frozenset({"p0000"}), words)


def expected(bundle: IndexBundle, words: str) -> list[float]:
    found = bundle.words.cosines(words)
    return [found.of(row) for row in range(len(bundle))]


def test_typed_words_are_compared_as_in_an_index(tiny_catalogue, tiny_index, tmp_path):
    catalogue = read_catalogue(tiny_catalogue)
    texts = ("nuxe violet jar", "", "zzz", "L'Oréal")
    queries = [query(tiny_catalogue, "q00.jpg", words) for words in texts]

    found = WordSources(tmp_path).cosines(catalogue, catalogue.rows, queries)

    bundle = open_index(tiny_index)
    assert found.tolist() == [expected(bundle, words) for words in texts]
    assert found[0].max() > 0
    assert not list(tmp_path.iterdir())


def test_queries_without_words_have_nothing_to_compare(tiny_catalogue, tmp_path):
    catalogue = read_catalogue(tiny_catalogue)
    queries = [query(tiny_catalogue, "q00.jpg", words) for words in ("", "💄")]

    assert WordSources(tmp_path).cosines(catalogue, catalogue.rows, queries) is None


def test_words_on_photos_and_on_the_catalogue_s_images_are_read_once(
    dataset: Path, tiny_profile: Profile, reader_repository: Path, tmp_path: Path
):
    catalogue = read_catalogue(dataset)
    profile = replace(tiny_profile, reader="ppocr")
    engine = EngineChoice(reader_repository)
    queries = [query(dataset, "text.png", "violet"), query(dataset, "q01.jpg")]
    sources = WordSources(tmp_path / "cache", ImageReader.of(profile, engine))

    plain = sources.cosines(catalogue, catalogue.rows, queries)
    read = replace(sources, reads_catalogue=True).cosines(catalogue, catalogue.rows, queries)

    for found, reads_images in ((plain, False), (read, True)):
        folder = tmp_path / f"index-{reads_images}"
        IndexBuild(catalogue, profile, engine, folder, reads_images=reads_images).run()
        bundle = open_index(folder)
        assert found[0].tolist() == expected(bundle, "violet\nNUXE caudalie")
        assert not found[1].any()
    assert read[0, 1] > plain[0, 1]  # only the image has the word
    unread = replace(sources.reader, engine=EngineChoice(tmp_path / "no models"))
    again = WordSources(sources.cache, unread, reads_catalogue=True)
    assert np.array_equal(again.cosines(catalogue, catalogue.rows, queries), read)
