"""The page in a real headless Chromium: page ⇄ beauty-search web ⇄ beauty-server ⇄ a small index.

Expected results come from the Python client, which asks the same server. Every test ends with a
look at what the browser saw: no fault, nothing that the content policy had to stop, no request to
another host.
"""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from client import RetrievalClient, SearchResult
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from export.pictures.contact_sheet import write_contact_sheet
from retrieval_server.models.profile import Profile
from tests.support.recording_servicer import Servicer, started

PATIENCE_S = 30  # no test waits so long unless it fails
MARKUP = "<img src=x onerror=alert(1)><b>Ruby</b> & " + "a very long description " * 12
NO_PICTURE = "p0002"
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 320, "height": 640}  # WCAG 2.2, 1.4.10: no scrolling in two directions
SERVE = "from retrieval_server.__main__ import main; main()"
WEB = "from client.cli import main; main()"


def process(program: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, text=True, **streams)


def end(running: "subprocess.Popen[str]") -> None:
    running.terminate()
    running.communicate(timeout=PATIENCE_S)


@dataclass
class Site:
    """The page's program and the server behind it, which can be stopped and started again."""

    index: Path
    repository: Path
    catalogue: Path
    port: int
    options: tuple[object, ...] = ()
    server: "subprocess.Popen[str] | None" = None
    url: str = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start_server(self) -> None:
        """Start the server and wait until it listens."""
        folder = self.index.parent / "address"
        folder.unlink(missing_ok=True)
        models = ("--model-repository", self.repository, "--address-file", folder)
        options = (*models, *self.options)
        self.server = process(SERVE, "--index", self.index, "--port", self.port, *options)
        pace = threading.Event()  # nobody sets it
        while not folder.exists():
            assert self.server.poll() is None
            pace.wait(0.02)

    def stop_server(self) -> None:
        assert self.server is not None
        end(self.server)

    def photo(self, family: int) -> Path:
        return self.catalogue / "queries" / f"q{family:02d}.jpg"

    def expected(self, ask: Callable[[RetrievalClient], SearchResult]) -> SearchResult:
        with RetrievalClient(self.address) as client:
            return ask(client)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def web_process(*arguments: object) -> Iterator[str]:
    """``beauty-search web`` as a process of its own; yields its URL."""
    with process(WEB, "web", "--port", 0, *arguments) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().split()[0]
        finally:
            end(running)


@pytest.fixture(scope="module")
def site(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A catalogue with a hostile description and a missing picture; its index, server and page."""
    catalogue = catalogue_folder()
    file = catalogue / "catalog.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    rows[1][2] = MARKUP
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(rows)
    index = tmp_path_factory.mktemp("web") / "index"
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), index).run()
    (catalogue / "images" / f"{NO_PICTURE}.png").unlink()
    site = Site(index, tiny_repository, catalogue, free_port())
    site.start_server()
    try:
        with web_process("--catalogue", catalogue, "-s", site.address) as site.url:
            yield site
    finally:
        site.stop_server()


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """Debian's Chromium. It comes after the site: no event loop may be started while it is open."""
    path = shutil.which("chromium")
    if path is None:
        assert "CI" not in os.environ, "CI must have a browser: make browser"
        pytest.skip("needs Debian's chromium: make browser")
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@dataclass
class Witness:
    """What a browser saw while a test ran."""

    url: str
    complaints: list[str] = field(default_factory=list)
    refused: int = 0  # calls answered by an error, which a test expected

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and text.startswith("Failed to load resource"):
            self.refused += 1
        elif kind in {"error", "warning"}:
            self.complaints.append(text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.url, f"blob:{self.url}")):
            self.complaints.append(f"request to {url}")


@pytest.fixture
def witness(site: Site) -> Iterator[Witness]:
    witness = Witness(site.url)
    yield witness
    assert witness.complaints == []


@pytest.fixture
def page(
    browser: Browser, site: Site, witness: Witness, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """The page, loaded, with the server's status shown; SCREENSHOTS=FOLDER keeps its last state."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    witness.watch(page)
    page.goto(site.url)
    expect(page.locator("#served")).to_contain_text("40 products")
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{request.node.name}.png", full_page=True)
    context.close()


@pytest.fixture
def no_refusal(witness: Witness) -> Iterator[None]:
    """For tests in which every call and every picture must be answered."""
    yield
    assert witness.refused == 0


def choose(page: Page, photo: Path) -> None:
    page.set_input_files("#file", photo)
    expect(page.locator("#preview-name")).to_have_text(photo.name)


def shows(page: Page, ranking: str, matches: object) -> None:
    """Wait until a ranking shows these matches, in this order."""
    ids = [match.product_id for match in matches]
    cards = page.locator(f"#{ranking} .match h4")
    expect(cards).to_have_text([f"{rank} {name}" for rank, name in enumerate(ids, 1)])


def violations(page: Page) -> list[str]:
    """What axe-core finds by the rules of WCAG 2.2, level AA, and its best practices."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


# Load, upload, results


def test_the_page_says_what_is_served_and_how_to_begin(page, site, no_refusal):
    assert page.title() == "Find a product by its photo"
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.locator("#served")).to_contain_text((site.index / "current").read_text().strip())
    expect(page.get_by_role("status")).to_have_text("Choose a photo of a product to begin.")
    expect(page.get_by_label("tiny_a")).to_have_value("3")
    expect(page.get_by_label("tiny_b")).to_have_value("1")
    assert page.get_by_label("tiny_b").get_attribute("max") == "10"
    expect(page.get_by_label("Best visual matches that stay (k)")).to_have_value("3")


def test_a_photo_shows_both_rankings_of_the_server_side_by_side(page, site, no_refusal):
    choose(page, site.photo(2))
    expected = site.expected(lambda client: client.search(site.photo(2)))
    shows(page, "initial", expected.initial_results)
    shows(page, "refined", expected.results)
    left, right = (page.locator(f"#{name}").bounding_box() for name in ("initial", "refined"))
    assert left["x"] + left["width"] <= right["x"]
    for name, matches in (("initial", expected.initial_results), ("refined", expected.results)):
        for card, match in zip(page.locator(f"#{name} .match").all(), matches, strict=True):
            words = card.inner_text()
            assert match.description in words
            assert f"similarity\n{match.similarity:.4f}" in words
            for model, cosine in match.cosines.items():
                assert f"{model}\n{cosine:.3f}" in words
            assert f"brand: {match.attributes['brand']}" in words


def test_what_refinement_brought_names_its_neighbour_and_leads_to_it(page, site):
    choose(page, site.photo(2))
    expected = site.expected(lambda client: client.search(site.photo(2)))
    before = {match.product_id for match in expected.initial_results}
    brought = [m for m in expected.results if m.product_id not in before and m.text]
    removed = before - {match.product_id for match in expected.results}
    assert brought
    for match in brought:
        card = page.locator(f"#refined .match[data-product={match.product_id}]")
        seed = f"#{match.text.seed_rank} {match.text.seed_product_id}"
        cosine = f"{match.text.cosine:.2f}"
        expect(card.locator(".mark")).to_have_text(
            f"+ described like {seed} (text cosine {cosine})"
        )
    card.get_by_role("button", name=seed).click()
    focused = page.evaluate("document.activeElement.dataset.product")
    assert focused == brought[-1].text.seed_product_id
    marked = page.locator("#initial .removed").all()
    assert {card.get_attribute("data-product") for card in marked} == removed
    said = f"Refinement replaced {len(removed)}, out of {expected.subset_size} text neighbours."
    expect(page.get_by_role("status")).to_contain_text(said)


def test_pictures_are_shown_and_a_missing_one_leaves_a_placeholder(page, site, witness):
    choose(page, site.photo(0))
    ids = site.expected(lambda client: client.search(site.photo(0))).results
    assert NO_PICTURE in {match.product_id for match in ids}
    expect(page.locator(f"#refined [data-product={NO_PICTURE}] .picture")).to_have_text(
        "no picture"
    )
    pictures = page.locator("#refined .picture img")
    expect(pictures).to_have_count(len(ids) - 1)
    page.wait_for_function(
        "[...document.querySelectorAll('.picture img, #preview-image')].every(i => i.naturalWidth)"
    )
    assert witness.refused > 0


def test_descriptions_are_text_and_long_ones_unfold(page, site):
    choose(page, site.photo(0))
    card = page.locator("#refined [data-product=p0000]")
    expect(card.locator("summary")).to_contain_text("<img src=x onerror=alert(1)><b>Ruby</b> &")
    expect(card.locator("details p")).to_be_hidden()
    card.locator("summary").click()
    expect(card.locator("details p")).to_have_text(MARKUP.strip())
    card.get_by_text("Show less").click()
    expect(card.locator("details p")).to_be_hidden()


def test_without_a_catalogue_folder_the_results_are_shown_all_the_same(browser, site, no_refusal):
    with web_process("-s", site.address) as url:
        page = browser.new_page()
        page.goto(url)
        page.set_input_files("#file", site.photo(1))
        expect(page.locator("#refined .no-picture").first).to_have_text("picture not shown")
        page.get_by_role("button", name="More like this").first.click()
        expect(page.locator("#query-heading")).to_have_text("More like this product")
        expect(page.locator("#preview-missing")).to_be_visible()
        page.close()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_may_be_dropped_or_pasted(page, site, way, no_refusal):
    data = "dataTransfer" if way == "drop" else "clipboardData"
    kind = "DragEvent" if way == "drop" else "ClipboardEvent"
    page.evaluate(
        f"""bytes => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "mine.jpg"));
            dispatchEvent(new {kind}("{way}", {{{data}: transfer, cancelable: true}}));
        }}""",
        list(site.photo(3).read_bytes()),
    )
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(3))).results)
    expect(page.locator("#preview-name")).to_have_text("mine.jpg")


# Settings


def test_sliders_and_switch_ask_the_server_again_with_their_values(page, site, no_refusal):
    photo = site.photo(4)
    choose(page, photo)
    shows(page, "refined", site.expected(lambda client: client.search(photo)).results)

    page.get_by_label("Best visual matches that stay (k)").fill("1")
    shows(page, "refined", site.expected(lambda client: client.search(photo, keep=1)).results)

    page.get_by_label("tiny_a").fill("0")
    page.get_by_label("tiny_b").fill("2.5")
    weighed = {"tiny_a": 0, "tiny_b": 2.5}
    expected = site.expected(lambda client: client.search(photo, keep=1, alpha=weighed))
    similarity = page.locator("#refined .scores dd").first
    expect(similarity).to_have_text(f"{expected.results[0].similarity:.4f}")
    shows(page, "refined", expected.results)

    page.get_by_role("switch", name="Refine by the descriptions").uncheck()
    expected = site.expected(lambda client: client.search(photo, refine=False, alpha=weighed))
    shows(page, "only", expected.results)
    expect(page.locator("#initial")).to_have_count(0)
    expect(page.get_by_label("Best visual matches that stay (k)")).to_be_disabled()

    page.get_by_role("button", name="Back to the server’s settings").click()
    expected = site.expected(lambda client: client.search(photo))
    shows(page, "refined", expected.results)
    expect(similarity).to_have_text(f"{expected.results[0].similarity:.4f}")
    expect(page.get_by_label("tiny_a")).to_have_value("3")


def test_a_slider_that_moves_meanwhile_does_not_keep_the_focus_from_a_new_query(page, site):
    choose(page, site.photo(1))
    results = site.expected(lambda client: client.search(site.photo(1))).results
    shows(page, "refined", results)
    asked = []

    def hold_the_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()

    page.route("**/api/similar*", hold_the_first)
    page.locator("#refined .more").first.click()
    page.get_by_label("Best visual matches that stay (k)").fill("2")
    expected = site.expected(lambda client: client.similar(results[0].product_id, keep=2)).results
    shows(page, "refined", expected)
    assert len(asked) == 2
    expect(page.locator("#results-heading")).to_be_focused()


def test_a_slider_that_was_not_touched_leaves_the_value_to_the_server(page, site):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, site.photo(1))
    expect(page.locator("#refined")).to_be_visible()
    assert [url for url in asked if "/api/search" in url] == [f"{site.url}api/search?refine=true"]


# More like this


def test_more_like_this_searches_by_the_product_and_back_returns(page, site):
    choose(page, site.photo(5))
    first = site.expected(lambda client: client.search(site.photo(5))).results
    shows(page, "refined", first)
    page.locator("#refined").get_by_role("button", name="More like this").nth(1).click()
    expected = site.expected(lambda client: client.similar(first[1].product_id))
    shows(page, "refined", expected.results)
    shows(page, "initial", expected.initial_results)
    expect(page.locator("#preview-name")).to_have_text(first[1].product_id)
    page.get_by_role("button", name="Back", exact=True).click()
    shows(page, "refined", first)
    expect(page.locator("#preview-name")).to_have_text("q05.jpg")
    page.go_forward()
    shows(page, "refined", expected.results)


# What goes wrong


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


# Keyboard, screen readers, small screens


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
