"""The controls for the catalogue's columns, on the page in a browser."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from client import Column
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.web_page import NARROW, Site, choose, open_site, shows, violations

HOSTILE = "in 'stock' <b>"


@pytest.fixture(scope="module")
def site(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A catalogue with texts, numbers and truth values, under a hostile name too."""
    catalogue = catalogue_folder()
    file = catalogue / "catalog.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow([*header, HOSTILE])
        writer.writerows([*row, ("true", "false", "")[n % 3]] for n, row in enumerate(rows))
    index = tmp_path_factory.mktemp("web") / "index"
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), index).run()
    with open_site(index, tiny_repository, catalogue) as site:
        yield site


def test_what_is_chosen_is_the_filter_of_every_search_until_it_is_taken_back(
    page, site, no_refusal
):
    photo = site.photo(1)
    choose(page, photo)
    everything = site.expected(lambda client: client.search(photo))
    shows(page, "refined", everything.results)

    page.get_by_label("brand", exact=True).select_option("L'Oréal")
    where = Column("brand") == "L'Oréal"
    shows(page, "refined", site.expected(lambda client: client.search(photo, where=where)).results)
    page.get_by_label("price from").fill("6.99")
    page.get_by_label("price to").fill("8.99")
    where &= (Column("price") >= 6.99) & (Column("price") <= 8.99)
    found = site.expected(lambda client: client.search(photo, where=where))
    shows(page, "refined", found.results)
    page.get_by_label(HOSTILE).select_option("false")
    where &= Column(HOSTILE) == False  # noqa: E712 # a filter
    found = site.expected(lambda client: client.search(photo, where=where))
    assert 0 < len(found.results) < 7
    shows(page, "refined", found.results)

    page.locator("#refined .more").first.click()
    first = found.results[0].product_id
    similar = site.expected(lambda client: client.similar(first, where=where))
    shows(page, "refined", similar.results)
    page.get_by_label("price to").fill("1")
    expect(page.locator("#refined")).to_contain_text("Nothing was found.")
    page.locator("#reset").click()
    shows(page, "refined", site.expected(lambda client: client.similar(first)).results)
    expect(page.get_by_label("price from")).to_have_value("")


def test_the_controls_break_no_rule_of_accessibility(page):
    for viewport in (NARROW, {"width": 1280, "height": 900}):
        page.set_viewport_size(viewport)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        expect(page.get_by_role("group", name="Only products with")).to_be_visible()
        assert violations(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
