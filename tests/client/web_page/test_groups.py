"""One result per product: the choice of a column, and the sizes of the groups, in a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from client import Column
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.models.profile import Profile
from tests.support.several_images import as_products
from tests.support.web_page import NARROW, Site, choose, open_site, shows, violations


@pytest.fixture(scope="module")
def site(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Eight products of four brands, with five images each."""
    catalogue = catalogue_folder()
    as_products(catalogue)
    index = tmp_path_factory.mktemp("web") / "index"
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), index).run()
    with open_site(index, tiny_repository, catalogue) as site:
        yield site


def test_one_result_per_product_holds_for_every_search_until_it_is_taken_back(
    page, site, no_refusal
):
    photo = site.photo(1)
    choose(page, photo)
    everything = site.expected(lambda client: client.search(photo))
    shows(page, "refined", everything.results)
    assert page.locator(".group").count() == 0

    chooser = page.get_by_label("One result per")
    assert chooser.locator("option").all_text_contents() == [
        *("image", "product", "brand", "price", "in_stock")
    ]
    chooser.select_option("product")
    found = site.expected(lambda client: client.search(photo, group_by="product"))
    shows(page, "initial", found.initial_results)
    shows(page, "refined", found.results)
    sizes = page.locator("#refined .group").all_text_contents()
    assert sizes == ["+4 images of the same product"] * 7

    page.get_by_label("price to").fill("8.99")
    where = Column("price") <= 8.99
    chooser.select_option("brand")
    found = site.expected(lambda client: client.search(photo, group_by="brand", where=where))
    shows(page, "refined", found.results)
    expect(page.locator("#refined .group").first).to_have_text("+4 images of the same brand")
    page.locator("#refined .more").first.click()
    first = found.results[0].product_id
    similar = site.expected(lambda client: client.similar(first, group_by="brand", where=where))
    shows(page, "refined", similar.results)
    page.locator("#reset").click()
    shows(page, "refined", site.expected(lambda client: client.similar(first)).results)
    expect(chooser).to_have_value("")


def test_groups_go_with_words_alone(page, site, no_refusal):
    page.get_by_label("One result per").select_option("product")
    page.get_by_label("Words on the product").fill("nuxe violet")
    page.get_by_role("button", name="Find").click()
    found = site.expected(lambda client: client.search(words="nuxe violet", group_by="product"))
    shows(page, "only", found.results)


def test_the_choice_and_the_sizes_break_no_rule_of_accessibility(page, site):
    choose(page, site.photo(1))
    page.get_by_label("One result per").select_option("product")
    expect(page.locator("#refined .group").first).to_be_visible()
    for viewport in (NARROW, {"width": 1280, "height": 900}):
        page.set_viewport_size(viewport)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        expect(page.get_by_label("One result per")).to_be_visible()
        assert violations(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
