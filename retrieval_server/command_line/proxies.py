"""Which servers are called through a proxy: never this machine, however its address is written.

gRPC follows ``http_proxy`` and its relatives for every address that ``no_proxy`` does not name,
even for 127.0.0.1, where a proxy finds itself and not our server. For other hosts, gRPC's own rules
hold (suffixes and networks in ``no_proxy``). Those of other programs hold as well: ``*``, ports,
leading dots and the spelling ``NO_PROXY``.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

_HOSTS_FILE = Path("/etc/hosts")
_THIS_MACHINE = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:|passthrough:(//[^/]*/)?)", re.IGNORECASE)
_PORT = re.compile(r":\d*$")


def proxy_options(address: str) -> tuple[tuple[str, int], ...]:
    """Options of a gRPC channel that keep it from a proxy where none should be asked.

    Args:
        address: as given to gRPC, such as ``host:port`` or ``dns:///host:port``.
    """
    is_direct = is_this_machine(address) or _names_no_proxy(address)
    return (("grpc.enable_http_proxy", int(not is_direct)),)


def is_this_machine(address: str) -> bool:
    """Whether an address is one of this machine, found out without asking a name server.

    Args:
        address: as given to gRPC, such as ``host:port``, ``unix:path`` or ``dns:///host:port``.
    """
    if address.lower().startswith(("unix:", "unix-abstract:", "vsock:")):
        return True
    host = host_of(address)
    names = {*_THIS_MACHINE, socket.gethostname().lower()}
    return host in names or host.endswith(".localhost") or _is_own(host) or _is_alias(host)


def host_of(address: str) -> str:
    """The host of an address, in lower case, without scheme, port, brackets and final dot."""
    rest = _SCHEME.sub("", address.strip()).partition(",")[0].lower()
    is_bare_ipv6 = rest.count(":") > 1 and not rest.startswith("[")
    if not is_bare_ipv6:
        rest = _PORT.sub("", rest)
    return rest.strip("[]").removesuffix(".")


def _is_own(host: str) -> bool:
    """Whether a numeric address is of this machine: then a socket can be bound to it."""
    try:
        found = socket.getaddrinfo(
            host, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )  # also reads 127.1 and 0x7f000001
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, own in found:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.bind(own)
            return True
    return False


def _is_alias(host: str) -> bool:
    """Whether the file of hosts has a name as one of this machine."""
    try:
        lines = _HOSTS_FILE.read_text(encoding="utf-8", errors="replace").lower().splitlines()
    except OSError:
        return False
    entries = [line.partition("#")[0].split() for line in lines]
    return any(host in entry[1:] and _is_own(entry[0]) for entry in entries if entry)


def _names_no_proxy(address: str) -> bool:
    """Whether ``no_proxy`` names the host, by the rules of other programs than gRPC."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    from urllib import request  # typeshed lacks proxy_bypass_environment

    port = _PORT.search(_SCHEME.sub("", address))
    host = host_of(address) + (port[0] if port else "")
    bypass: Callable[[str], bool] = vars(request)["proxy_bypass_environment"]
    return bool(bypass(host))
