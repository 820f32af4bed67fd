"""The files that the page's program gives out: pictures of the catalogue and its own."""

import re
import tomllib
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from client import RetrievalClient
from client.web.app import PAGE, web_app
from tests.support.paths import ROOT
from tests.support.web_api import HERE, PNG

# Pictures


def test_a_picture_comes_by_the_path_that_a_result_names(page):
    answer = page.get("/pictures", params={"image": "images/a #1?&ü%2e.jpg"})
    assert answer.status_code == 200
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"  # by its content, whatever its name


@pytest.mark.parametrize(
    "image",
    [
        "../secret.png",
        "images/../../secret.png",
        "{outside}",
        "images/link.png",
        "catalog.csv",
        "images",
        "images/none.png",
        "..",
        "",
        "a\0b.png",
        "x" * 5000,
    ],
)
def test_nothing_but_pictures_inside_the_folder_is_given_out(page, tmp_path, image):
    assert (tmp_path / "secret.png").is_file()
    image = image.format(outside=tmp_path / "secret.png")
    answer = page.get("/pictures", params={"image": image})
    assert (answer.status_code, answer.text) == (404, "No such picture.\n")


def test_without_a_catalogue_there_are_no_pictures(address):
    with RetrievalClient(address) as client:
        page = TestClient(web_app(client), base_url=HERE)
        assert page.get("/api/status").json()["has_pictures"] is False
        assert page.get("/pictures", params={"image": "images/a.jpg"}).status_code == 404


# The page's files


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/app.py"])
def test_the_program_s_own_files_are_not_given_out(page, path):
    assert page.get(path).status_code == 404


def test_the_page_s_markup_has_no_inline_code_and_names_files_that_exist():
    class Markup(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                assert name != "style"
                assert not name.startswith("on")
                if name in {"src", "href"} and not (value or "").startswith("#"):
                    assert (PAGE / (value or "")).is_file()
            assert tag != "style"
            assert tag != "script" or dict(attrs).get("src")

    Markup().feed((PAGE / "index.html").read_text(encoding="utf-8"))


def test_the_page_s_program_never_writes_markup():
    for script in PAGE.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        for module in re.findall(r'from "(.+?)"', text):
            assert (PAGE / module).is_file()


def test_the_page_s_files_are_declared_as_part_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pattern,) = project["tool"]["setuptools"]["package-data"]["client.web"]
    packaged = set((PAGE.parent).glob(pattern))
    assert packaged == set(PAGE.iterdir())
    assert {"index.html", "page.css", "page.js"} <= {path.name for path in packaged}
