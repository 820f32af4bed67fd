"""The words that were read on a photo, on the page; the server has the real reader."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.text_photo import text_image
from tests.support.web_page import Site, choose, open_site, shows


@pytest.fixture(scope="module")
def site(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    reader_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A server that reads the words on photos, and its page."""
    catalogue = catalogue_folder()
    index = tmp_path_factory.mktemp("web") / "index"
    profile = replace(tiny_profile, reader="ppocr")
    IndexBuild(read_catalogue(catalogue), profile, EngineChoice(tiny_repository), index).run()
    with open_site(index, reader_repository, catalogue) as site:
        yield site


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "pack.png"
    text_image("NUXE", "Bioderma").save(path)
    return path


def test_words_that_were_read_are_shown_on_the_photo_and_can_be_switched_off(
    page, site, pack, no_refusal
):
    choose(page, pack)
    both = site.expected(lambda client: client.search(pack))
    assert [line.text for line in both.read_lines] == ["NUXE", "Bioderma"]
    shows(page, "refined", both.results)
    switches = page.get_by_role("group", name="Read on the photo").get_by_role("checkbox")
    expect(switches).to_have_count(2)
    boxes = page.locator(".photo polygon")
    expect(boxes).to_have_count(2)
    corner = both.read_lines[0].corners[0]
    assert boxes.first.get_attribute("points").startswith(f"{corner.x:g},{corner.y:g} ")
    page.get_by_label("NUXE").uncheck()
    one = site.expected(lambda client: client.search(pack, words="Bioderma", read_words=False))
    assert [m.similarity for m in one.results] != [m.similarity for m in both.results]
    shows(page, "refined", one.results)
    expect(boxes.first).to_have_class("off")
    page.get_by_label("NUXE").check()
    shows(page, "refined", both.results)


def test_the_words_are_read_once_while_the_settings_change(page, site, pack, no_refusal):
    with page.expect_request("**/api/search*") as first:
        choose(page, pack)
    expect(page.locator("#lines")).to_be_visible()
    with page.expect_request("**/api/search*") as second:
        page.get_by_label("Best visual matches that stay (k)").fill("2")
    expected = site.expected(lambda client: client.search(pack, keep=2))
    shows(page, "refined", expected.results)
    assert "read_words" not in first.value.url
    assert "read_words=false" in second.value.url
