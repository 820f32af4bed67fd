"""Who may call the page's program, and what its answers allow a browser to do."""

import pytest
from starlette.testclient import TestClient

from client import RetrievalClient
from client.web.app import web_app
from client.web.guard import SECURITY_HEADERS
from tests.support.web_api import HERE


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
