"""The page in a browser: keyboard, screen readers and small screens."""

import json
import re
from dataclasses import asdict
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from export.pictures.contact_sheet import write_contact_sheet
from tests.support.web_page import NARROW, WIDE, choose, shows, violations


def test_everything_can_be_done_with_the_keyboard_alone(page, site):
    def tab_to(condition: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({condition!r})"):
                outline = page.evaluate(
                    """() => {
                        const focused = document.activeElement;
                        const seen = focused.type === "file" ? focused.nextElementSibling : focused;
                        return getComputedStyle(seen).outlineWidth;
                    }"""
                )
                assert outline == "3px"
                return
        pytest.fail(f"Tab never reaches {condition}")

    page.on("filechooser", lambda chooser: None)  # from now on, or the first may be missed
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    expect(page.locator("#results-heading")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    tab_to("#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(site.photo(3))
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(3))).results)
    expect(page.locator("#results-heading")).to_be_focused()

    page.locator("#file").focus()
    tab_to("#refine")
    page.keyboard.press("Space")
    expect(page.locator("#only")).to_be_visible()
    page.keyboard.press("Space")
    tab_to("#keep")
    page.keyboard.press("ArrowLeft")
    expected = site.expected(lambda client: client.search(site.photo(3), keep=2)).results
    shows(page, "refined", expected)
    expect(page.locator("#keep")).to_be_focused()
    tab_to("#refined .more")
    page.keyboard.press("Enter")
    similar = site.expected(lambda client: client.similar(expected[0].product_id, keep=2))
    shows(page, "refined", similar.results)
    expect(page.locator("#results-heading")).to_be_focused()
    page.locator("#file").focus()
    tab_to("#back")
    page.keyboard.press("Enter")
    shows(page, "refined", expected)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_state_of_the_page_breaks_a_rule_of_accessibility(
    page, site, tmp_path, scheme, viewport
):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    page.reload()
    expect(page.locator("#served")).to_contain_text("40 products")
    assert violations(page) == []
    choose(page, site.photo(2))
    expect(page.locator("#refined .brought").first).to_be_visible()
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert violations(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    choose(page, broken)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []


def test_landmarks_headings_and_names_are_there_for_screen_readers(page, site):
    choose(page, site.photo(2))
    expect(page.locator("#refined")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("banner")).to_be_visible()
    for name in ("Your photo", "Results", "Initial ranking", "After refinement"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    expect(page.get_by_role("form", name="Settings")).to_be_visible()
    for slider in ("Best visual matches that stay (k)", "tiny_a", "tiny_b"):
        expect(page.get_by_role("slider", name=slider)).to_be_visible()
    expect(page.get_by_role("switch", name="Refine by the descriptions")).to_be_checked()
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].filter(h => h.checkVisibility())"
        ".map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    names = [b.get_attribute("aria-label") for b in page.locator("#refined .more").all()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"More like this: p\d{4}", name) for name in names)


def test_a_phone_offers_its_camera_and_folds_the_settings(browser, site, witness):
    phone = {"viewport": {"width": 390, "height": 660}, "is_mobile": True, "has_touch": True}
    context = browser.new_context(**phone)
    page = context.new_page()
    witness.watch(page)
    page.goto(site.url)
    expect(page.locator("#served")).to_contain_text("40 products")
    expect(page.get_by_text("Take a photo")).to_be_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    expect(page.locator("#keep")).to_be_hidden()
    page.set_input_files("#camera", site.photo(2))
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(2))).results)
    page.get_by_role("heading", name="Settings").tap()
    expect(page.locator("#keep")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_contact_sheet_breaks_no_rule_of_accessibility_either(browser, site, scheme, tmp_path):
    found = site.expected(lambda client: client.search(site.photo(2)))
    results, sheet = tmp_path / "results.jsonl", tmp_path / "sheet.html"
    results.write_text(json.dumps({"query": str(site.photo(2)), **asdict(found)}))
    write_contact_sheet(results, site.catalogue, sheet)
    page = browser.new_page(color_scheme=scheme)
    page.goto(sheet.as_uri())
    expect(page.locator("li.new dl").first).to_contain_text("tiny_b")
    assert violations(page) == []
    page.close()
