"""The page in a browser: each failure in plain words, and the way out of it."""

from dataclasses import replace

import grpc
import pytest
from playwright.sync_api import expect

from tests.support.recording_servicer import Servicer, started
from tests.support.web_page import choose, free_port, shows, violations, web_process


def test_a_broken_image_is_said_in_plain_words_and_the_next_photo_is_searched(page, site, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(site.photo(1).read_bytes()[:500])
    choose(page, site.photo(1))
    expect(page.locator("#refined")).to_be_visible()
    choose(page, broken)
    expect(page.get_by_role("alert")).to_contain_text("This photo cannot be read.")
    expect(page.get_by_role("alert")).to_contain_text("Choose another one")
    expect(page.locator("#refined")).to_have_count(0)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(page.locator("#problem")).to_be_focused()
    choose(page, site.photo(6))
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(6))).results)
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("size", "title"), [(0, "This file is empty."), (20 * 2**20 + 1, "This photo is too large.")]
)
def test_an_unusable_file_is_refused_before_it_is_sent(page, tmp_path, size, title, no_refusal):
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(size))
    page.set_input_files("#file", file)
    expect(page.get_by_role("alert")).to_contain_text(title)


def test_the_largest_photo_is_the_server_s(browser, site, tmp_path):
    other = replace(site, port=free_port(), options=("--max-image-bytes", 1_000_000))
    small, large = site.photo(1), tmp_path / "large.jpg"
    large.write_bytes(bytes(1_000_001))
    other.start_server()
    try:
        with web_process("-s", other.address) as url:
            page = browser.new_page()
            page.goto(url)
            expect(page.locator("#served")).to_contain_text("40 products")
            page.set_input_files("#file", large)
            expect(page.get_by_role("alert")).to_contain_text("This photo is too large.")
            expect(page.get_by_role("alert")).to_contain_text("At most 1 MB can be sent.")
            page.set_input_files("#file", small)
            expect(page.locator("#refined")).to_be_visible()
            page.close()
    finally:
        other.stop_server()


def test_the_page_goes_on_by_itself_when_the_server_is_back(page, site):
    choose(page, site.photo(7))
    expected = site.expected(lambda client: client.search(site.photo(7)))
    shows(page, "refined", expected.results)
    site.stop_server()
    try:
        page.get_by_label("Best visual matches that stay (k)").fill("2")
        expect(page.get_by_role("alert")).to_contain_text("The search server does not answer.")
        expect(page.locator("#served")).to_have_text("The search server does not answer.")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.get_by_label("Best visual matches that stay (k)")).to_be_focused()
        found = violations(page)
    finally:
        site.start_server()
    assert found == []
    shows(page, "refined", site.expected(lambda c: c.search(site.photo(7), keep=2)).results)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#served")).to_contain_text("40 products")


def test_a_page_whose_server_is_away_waits_for_it(browser, site, witness):
    site.stop_server()
    try:
        page = browser.new_page()
        witness.watch(page)
        page.goto(site.url)
        expect(page.get_by_role("alert")).to_contain_text("The search server does not answer.")
    finally:
        site.start_server()
    expect(page.locator("#served")).to_contain_text("40 products")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.close()


def test_a_page_whose_own_program_ended_says_how_to_start_it(browser, site):
    with web_process("-s", site.address) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#served")).to_contain_text("40 products")
    page.set_input_files("#file", site.photo(1))
    expect(page.get_by_role("alert")).to_contain_text("Start it again with: beauty-search web")
    page.close()


@pytest.mark.parametrize(
    ("code", "title"),
    [("RESOURCE_EXHAUSTED", "too much to do"), ("DEADLINE_EXCEEDED", "took too long")],
)
def test_overload_and_deadline_are_plain_words_and_try_again_works(browser, site, code, title):
    servicer = Servicer()
    server, address = started(servicer)
    with web_process("-s", address) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#served")).to_contain_text("500,000 products")
        servicer.refusals = [(grpc.StatusCode[code], "said by the server")]
        page.set_input_files("#file", site.photo(1))
        expect(page.get_by_role("alert")).to_contain_text(title)
        page.get_by_text("What the program said").click()
        expect(page.get_by_role("alert")).to_contain_text(address)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#refined .match")).to_have_count(4)
        expect(page.get_by_role("alert")).to_be_hidden()
        page.close()
    server.stop(grace=None).wait()
