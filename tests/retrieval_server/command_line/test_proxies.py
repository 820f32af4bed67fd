"""A client calls this machine, and what no_proxy names, without a proxy."""

import socket

import pytest

from retrieval_server.command_line.proxies import host_of, is_this_machine, proxy_options

THROUGH_A_PROXY = (("grpc.enable_http_proxy", 1),)
DIRECT = (("grpc.enable_http_proxy", 0),)


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")


@pytest.mark.parametrize(
    "address",
    [
        "localhost:50051",
        "LOCALHOST:50051",
        "localhost.:50051",
        "a.localhost:1",
        "ip6-localhost:1",
        "127.0.0.1:50051",
        "127.1:50051",
        "127.0.0.2:50051",
        "0x7f000001:1",
        "0.0.0.0:50051",
        "[::1]:50051",
        "::1",
        "[::]:50051",
        "[::ffff:127.0.0.1]:50051",
        "dns:///localhost:50051",
        "dns:localhost:50051",
        "ipv4:127.0.0.1:50051",
        "ipv6:[::1]:50051",
        "unix:/run/beauty.sock",
        "unix:///run/beauty.sock",
        f"{socket.gethostname()}:50051",
    ],
)
def test_this_machine_is_never_asked_for_through_a_proxy(address: str) -> None:
    assert is_this_machine(address)
    assert proxy_options(address) == DIRECT


@pytest.mark.parametrize(
    "address",
    [
        "shop.example:50051",
        "dns:///shop.example:50051",
        "192.0.2.1:1",
        "[2001:db8::1]:1",
        "",
        "a b",
    ],
)
def test_other_hosts_are_left_to_the_proxy(address: str) -> None:
    assert proxy_options(address) == THROUGH_A_PROXY


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("value", ["*", "shop.example", ".example", "a.b, shop.example:50051"])
def test_hosts_that_no_proxy_names_are_called_directly(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert proxy_options("dns:///shop.example:50051") == DIRECT


def test_a_name_of_the_hosts_file_is_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# names\n127.0.0.1 triton Retrieval # of this machine\n192.0.2.1 remote\n")
    monkeypatch.setattr("retrieval_server.command_line.proxies._HOSTS_FILE", hosts)
    assert [is_this_machine(f"{name}:1") for name in ("triton", "retrieval", "remote")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("address", "host"),
    [("Shop.Example.:1", "shop.example"), ("[::1]:1", "::1"), ("::1", "::1"), ("host", "host")],
)
def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host
