"""The page's program with the server behind it, and what a browser shows of it."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from client import RetrievalClient, SearchResult
from client.__main__ import main as search
from retrieval_server.__main__ import main as serve
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import Program, command

MARKUP = "<NEW balm> <3 Ruby & " + "a very long description " * 12  # words, which HTML would hide
NO_PICTURE = "p0002"
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 320, "height": 640}  # WCAG 2.2, 1.4.10: no scrolling in two directions


def process(program: Program, *arguments: object) -> "subprocess.Popen[str]":
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command(program, *arguments), text=True, **streams)


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
        self.server = process(serve, "--index", self.index, "--port", self.port, *options)
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
    with process(search, "web", "--port", 0, *arguments) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().split()[0]
        finally:
            end(running)


@contextmanager
def open_site(index: Path, repository: Path, catalogue: Path) -> Iterator[Site]:
    """A server with an index, and the page's program with the catalogue's pictures."""
    site = Site(index, repository, catalogue, free_port())
    site.start_server()
    try:
        with web_process("--catalogue", catalogue, "-s", site.address) as site.url:
            yield site
    finally:
        site.stop_server()


def choose(page: Page, photo: Path) -> None:
    page.set_input_files("#file", photo)
    expect(page.locator(".preview figcaption")).to_have_text(photo.name)


def shows(page: Page, ranking: str, matches: object) -> None:
    """Wait until a ranking shows these matches, in this order."""
    ids = [match.product_id for match in matches]
    cards = page.locator(f"#{ranking} .match h4")
    expect(cards).to_have_text([f"{rank} {name}" for rank, name in enumerate(ids, 1)])


def violations(page: Page) -> list[str]:
    """What axe-core finds by the rules of WCAG 2.2, level AA, and its best practices."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]
