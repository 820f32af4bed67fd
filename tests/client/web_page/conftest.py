"""The page in a real headless Chromium: page ⇄ beauty-search web ⇄ beauty-server ⇄ a small index.

Expected results come from the Python client, which asks the same server. Every test ends with a
check of what the browser saw: no fault, nothing that the content policy blocked, no request to
another host.
"""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from export.calibration.calibrated_version import publish_calibration
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile
from tests.support.made_up_calibration import made_up_calibration
from tests.support.patience import PATIENCE_S
from tests.support.web_page import MARKUP, NO_PICTURE, WIDE, Site, open_site


@pytest.fixture(scope="module")
def site(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A catalogue with a hostile description and a missing picture; the index, calibrated."""
    catalogue = catalogue_folder()
    file = catalogue / "catalog.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    rows[1][2] = MARKUP
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(rows)
    index = tmp_path_factory.mktemp("web") / "index"
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), index).run()
    publish_calibration(open_index(index), made_up_calibration())
    (catalogue / "images" / f"{NO_PICTURE}.png").unlink()
    with open_site(index, tiny_repository, catalogue) as site:
        yield site


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
