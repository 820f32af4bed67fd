"""Addresses of servers: what is taken, and what each mistake is told."""

import math

import pytest
import typer

from retrieval_server.command_line.addresses import checked_address
from retrieval_server.command_line.durations import LONGEST_S
from retrieval_server.command_line.option_values import listening_host, seconds


@pytest.mark.parametrize(
    "text",
    [
        "localhost:50051",
        "10.0.0.1:1",
        "[::1]:65535",
        "[fe80::1%eth0]:50051",
        "dns:///shop.example:50051",
        "unix:relative.sock",
        "unix:///run/search.sock",
        "unix-abstract:search",
    ],
)
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert checked_address(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("host:1\n", "white space"),
        ("host :1", "white space"),
        ("a\udcff:1", "another character"),
        ("host", "no port"),
        ("[::1]", "no port"),
        ("[::1", "no port"),
        ("host:", "from 1 to 65,535"),
        ("host:0", "from 1 to 65,535"),
        ("host:65536", "from 1 to 65,535"),
        ("host:99999", "from 1 to 65,535"),
        ("host:-1", "from 1 to 65,535"),
        ("host:５0051", "from 1 to 65,535"),
        ("host:50051/path", "from 1 to 65,535"),
        (":50051", "no single host"),
        ("a:1,b:2", "no single host"),
        ("user@host:1", "has a user before its host"),
        ("host:1?token=secret", "has a \\?, and perhaps a secret"),
        ("host#secret", "has a #, and perhaps a secret"),
        ("grpc://host:1/?token=secret", "has a \\?, and perhaps a secret"),
        ("[host]:1", "no IPv6 address"),
        ("::1", r"\[::1\]:50051"),
        ("http://host:50051/", "Write host:50051"),
        ("grpc://host:50051", "Write host:50051"),
        ("dns:///host", "no port"),
        ("unix:", "no socket"),
        ("unix:///", "no socket"),
    ],
)
def test_what_is_no_address_is_told_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        checked_address(text)
    for hidden in ("\n", "=secret", "#secret"):
        assert hidden not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::", "[::1]"])
def test_a_host_to_listen_on_is_a_name_or_an_address(host: str) -> None:
    assert listening_host(host) == host


@pytest.mark.parametrize("host", ["", "unix:/run/socket", "host:50051", "two hosts", "http://host"])
def test_what_is_no_host_to_listen_on_is_misuse(host: str) -> None:
    with pytest.raises(typer.BadParameter):
        listening_host(host)


def test_seconds_without_a_limit_are_the_longest_that_anything_waits() -> None:
    assert seconds(math.inf) == seconds(1e12) == LONGEST_S
    assert seconds(0.5) == 0.5
    assert seconds(None) is None
    with pytest.raises(typer.BadParameter):
        seconds(math.nan)
