"""The page's HTTP side, against a real gRPC server that records: calls, errors, who may ask."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import grpc
import pytest
from starlette.testclient import TestClient

from client import RetrievalClient
from client.web.app import PAGE, web_app
from client.web.guard import SECURITY_HEADERS
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.paths import ROOT
from tests.support.recording_servicer import (
    INITIAL_IDS,
    LIMITS,
    MODELS,
    PATIENCE_S,
    Servicer,
    started,
)

HERE = "http://127.0.0.1:8080"
PNG = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
def address(servicer: Servicer) -> Iterator[str]:
    server, address = started(servicer)
    yield address
    servicer.release.set()
    server.stop(grace=None).wait()


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder with one picture, and a secret beside it."""
    folder = tmp_path / "catalogue"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a #1?&ü%2e.jpg").write_bytes(PNG)
    (folder / "catalog.csv").write_text("id,image,description\n")
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


@pytest.fixture
def page(address: str, catalogue: Path) -> Iterator[TestClient]:
    """The page as a browser calls it."""
    with RetrievalClient(address) as client:
        yield TestClient(web_app(client, catalogue), base_url=HERE)


# Searching


def test_every_setting_of_a_photo_s_search_arrives_at_the_server(page, servicer):
    settings = {"top_k": 5, "keep": 2, "refine": "false", f"alpha.{MODELS[0]}": "2.75"}
    answer = page.post("/api/search", params=settings, content=b"photo")
    assert answer.status_code == 200
    (request,) = servicer.requests
    assert (request.image, request.top_k, request.keep) == (b"photo", 5, 2)
    assert not request.refine
    assert dict(request.alpha) == {MODELS[0]: 2.75}


def test_settings_left_out_are_the_server_s(page, servicer):
    page.post("/api/search", content=b"photo")
    page.get("/api/similar", params={"product_id": "1 & 2"})
    by_image, by_product = servicer.requests
    assert (by_image.top_k, by_image.keep, by_image.refine, dict(by_image.alpha)) == (
        0,
        0,
        True,
        {},
    )
    assert (by_product.product_id, by_product.refine) == ("1 & 2", True)


def test_an_answer_holds_both_rankings_with_scores_and_evidence(page):
    answer = page.post("/api/search", content=b"photo").json()
    assert [match["product_id"] for match in answer["initial_results"]] == list(INITIAL_IDS)
    refined = answer["results"][2]
    assert refined["stage"] == "refined"
    assert refined["text"] == {"seed_product_id": "1001", "seed_rank": 1, "cosine": 0.834}
    assert refined["cosines"] == {MODELS[0]: 0.91, MODELS[1]: -0.25}


def test_status_names_the_sliders_and_their_defaults(page, servicer):
    servicer.warnings = ["random weights"]
    answer = page.get("/api/status").json()
    assert answer["models"] == [{"name": name, "alpha": 3.0} for name in MODELS]
    assert (answer["default_top_k"], answer["default_keep"]) == (7, 3)
    assert answer["warnings"] == ["random weights"]
    assert answer["has_pictures"] is True


@pytest.mark.parametrize(
    "settings",
    [
        {"keep": "0"},
        {"keep": "101"},
        {"top_k": "5000000000"},
        {"top_k": "two"},
        {"top_k": "²"},
        {"refine": "yes"},
        {"alpha.a": "x"},
        {"alpha.a": "nan"},
        {"alpha.a": "inf"},
    ],
)
def test_a_setting_that_no_slider_produces_is_refused_by_name(page, servicer, settings):
    answer = page.post("/api/search", params=settings, content=b"photo")
    assert answer.status_code == 400
    assert next(iter(settings)) in answer.json()["details"]
    assert servicer.requests == []


# What goes wrong


@pytest.mark.parametrize(
    ("code", "details", "status", "kind", "title"),
    [
        ("UNAVAILABLE", "engine away", 503, "unavailable", "The search server does not answer."),
        ("NOT_FOUND", "product_id: …", 404, "gone", "not in the index any more"),
        ("INVALID_ARGUMENT", "image: is damaged", 422, "image", "This photo cannot be read."),
        ("INVALID_ARGUMENT", "alpha: too large", 422, "invalid", "cannot use this query"),
        ("RESOURCE_EXHAUSTED", "full", 429, "busy", "too much to do"),
        ("DEADLINE_EXCEEDED", "late", 504, "late", "took too long"),
        ("UNAUTHENTICATED", "no token", 502, "refused", "refused this page"),
        ("INTERNAL", "r-1", 502, "failed", "The search failed."),
        ("UNIMPLEMENTED", "?", 502, "failed", "The search failed."),
    ],
)
def test_each_failure_has_plain_words_and_says_what_to_do(
    page, servicer, code, details, status, kind, title
):
    servicer.refusals = [(grpc.StatusCode[code], details)] * 9  # one for every retry
    answer = page.post("/api/search", content=b"photo")
    problem = answer.json()
    assert (answer.status_code, problem["kind"]) == (status, kind)
    assert title in problem["title"]
    assert problem["advice"].endswith(".")
    assert problem["details"]


def test_a_late_answer_is_said_to_be_late(address):
    with RetrievalClient(address, timeout_s=0.2) as client:
        answer = TestClient(web_app(client), base_url=HERE).post("/api/search", content=b"held")
    assert (answer.status_code, answer.json()["kind"]) == (504, "late")


def test_a_server_that_is_not_there_is_a_problem_and_not_a_fault(catalogue):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        nobody = f"localhost:{probe.getsockname()[1]}"
    with RetrievalClient(nobody, timeout_s=1) as client:
        answer = TestClient(web_app(client, catalogue), base_url=HERE).get("/api/status")
    assert (answer.status_code, answer.json()["kind"]) == (503, "unavailable")


def test_an_empty_photo_is_refused_before_anything_is_sent(page, servicer):
    answer = page.post("/api/search", content=b"")
    assert (answer.status_code, answer.json()["title"]) == (422, "This file is empty.")
    assert servicer.requests == []


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_photo_above_the_limit_is_refused_before_anything_is_sent(page, servicer, is_declared):
    large = bytes(LIMITS.max_image_bytes + 1)
    parts = (large[start : start + 2**20] for start in range(0, len(large), 2**20))
    answer = page.post("/api/search", content=large if is_declared else parts)
    assert (answer.status_code, answer.json()["title"]) == (413, "This photo is too large.")
    assert servicer.requests == []


def test_a_photo_of_exactly_the_limit_is_searched(page, servicer):
    assert page.post("/api/search", content=bytes(LIMITS.max_image_bytes)).status_code == 200
    assert len(servicer.requests[0].image) == LIMITS.max_image_bytes


def test_the_limits_are_those_of_the_server_at_that_moment(page, servicer):
    servicer.limits = pb.Limits(max_image_bytes=1_000_000, max_top_k=5)
    told = page.get("/api/status").json()
    assert told["max_image_bytes"] == 1_000_000
    assert told["too_large"]["advice"].startswith("At most 1 MB can be sent.")
    answer = page.post("/api/search", content=bytes(1_000_001))
    assert (answer.status_code, answer.json()) == (413, told["too_large"])
    assert page.get("/api/similar?product_id=1&top_k=6").status_code == 400
    assert servicer.requests == []
    servicer.limits = LIMITS
    assert page.post("/api/search?top_k=6", content=bytes(1_000_001)).status_code == 200


def test_a_server_that_does_not_report_its_limits_refuses_for_itself(page, servicer):
    servicer.limits = None
    told = page.get("/api/status").json()
    assert (told["max_image_bytes"], told["too_large"]) == (None, None)
    large = bytes(LIMITS.max_image_bytes + 1)
    assert page.post("/api/search?top_k=101", content=large).status_code == 200
    (request,) = servicer.requests
    assert (len(request.image), request.top_k) == (len(large), 101)


@pytest.mark.parametrize("size", [1_000_000, 1_000_001])
def test_a_real_server_s_largest_image_is_the_page_s(served_by, size):
    with (
        served_by(max_image_bytes=1_000_000) as served,
        RetrievalClient(served.address) as client,
    ):
        page = TestClient(web_app(client), base_url=HERE)
        assert page.get("/api/status").json()["max_image_bytes"] == 1_000_000
        answer = page.post("/api/search", content=bytes(size)).json()
    if size > 1_000_000:
        assert answer["title"] == "This photo is too large."
        assert answer["advice"].startswith("At most 1 MB can be sent.")
    else:
        assert answer["title"] == "This photo cannot be read."  # the server looked into it


# Who may ask


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:1", "[::1]:8080", "192.168.1.5:8080"],
)
def test_addresses_and_localhost_are_answered(page, host):
    assert page.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "localhost@evil.example",
        "evil.example:localhost",
        "[::1",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/page.js", "/api/status", "/pictures?image=images/a.jpg"])
def test_another_name_is_refused_since_a_foreign_site_may_own_it(page, servicer, host, path):
    answer = page.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "--allowed-host" in answer.text


def test_a_name_that_was_allowed_is_answered(address):
    with RetrievalClient(address) as client:
        page = TestClient(web_app(client, allowed_hosts=["Shop.example"]), base_url=HERE)
        assert page.get("/", headers={"host": "shop.example:8080"}).status_code == 200
        assert page.get("/", headers={"host": "other.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_calls_of_other_sites_are_refused_and_never_reach_the_server(page, servicer, headers):
    assert page.post("/api/search", content=b"photo", headers=headers).status_code == 403
    assert page.get("/api/similar?product_id=1001", headers=headers).status_code == 403
    assert page.get("/pictures?image=images/a.jpg", headers=headers).status_code == 403
    assert servicer.requests == []


def test_the_page_s_own_calls_are_answered_and_a_link_from_elsewhere_opens_it(page):
    own = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert page.post("/api/search", content=b"photo", headers=own).status_code == 200
    assert page.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/", "localhost"),
        ("/page.js", "localhost"),
        ("/api/status", "localhost"),
        ("/api/similar?keep=x", "localhost"),
        ("/pictures?image=none", "localhost"),
        ("/nothing", "localhost"),
        ("/", "evil.example"),
    ],
)
def test_every_answer_carries_the_security_headers(page, path, host):
    answer = page.get(path, headers={"host": host})
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] == ("no-store" if "/api/" in path else "no-cache")


def test_the_policy_allows_nothing_inline_and_nothing_from_outside():
    policy = SECURITY_HEADERS["content-security-policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


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


# The command


def web(*arguments: object, program: str = "") -> "subprocess.Popen[str]":
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"{program}\nfrom client.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "web", *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_names_its_url_and_ends_quietly(address, number):
    with web("--port", 0, "-s", address) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/ asks {address}; Ctrl-C ends it\.\n", line)
    assert (run.returncode, stdout, stderr) == (0, "", "")


def test_a_page_that_others_reach_is_warned_about(address):
    with web("--host", "0.0.0.0", "--port", 0, "-s", address) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("http://0.0.0.0:")
        run.terminate()
        _, stderr = run.communicate(timeout=PATIENCE_S)
    assert re.fullmatch(r"WARNING: whoever reaches .* without a password\.\n", stderr)


def test_a_port_that_is_taken_is_one_line_and_exit_1(address):
    port = address.rpartition(":")[2]
    with web("--host", "localhost", "--port", port, "-s", address) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert re.fullmatch(rf"error: Cannot listen on localhost, port {port}: .*--port.*\n", stderr)


def test_a_catalogue_that_is_no_folder_is_one_line_and_exit_1(address, tmp_path):
    with web("--catalogue", tmp_path / "none", "-s", address) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.startswith(f"error: {tmp_path / 'none'} is not a folder")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_the_command_without_its_extra_says_what_to_install(address, missing):
    with web("-s", address, program=f"import sys; sys.modules['{missing}'] = None") as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, stdout) == (1, "")
    assert stderr.startswith("error: The page needs ")
    assert stderr.endswith("Install it with: pip install '.[ui]'\n")


def test_the_help_ends_with_an_example_that_works(address):
    with web("--help") as run:
        stdout, _ = run.communicate(timeout=PATIENCE_S)
    last_line = stdout.rstrip().splitlines()[-1]
    assert last_line.startswith("  Example: beauty-search web ")
    words = shlex.split(last_line)[3:]
    words[words.index("--catalogue") + 1] = str(ROOT / "tests")  # the demo may not be built yet
    with web(*words, "--port", 0, "-s", address) as run:
        assert run.stdout is not None
        assert run.stdout.readline().startswith("http://127.0.0.1:")
        run.terminate()
        run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0
