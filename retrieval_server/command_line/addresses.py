"""Addresses of gRPC servers, as every command takes them.

``HOST:PORT``, where the host is a name, an IPv4 address, or an IPv6 address in brackets; or a Unix
socket: ``unix:PATH``, ``unix:///PATH``, ``unix-abstract:NAME``. gRPC's form ``dns:///HOST:PORT`` is
taken too.
"""

from __future__ import annotations

import ipaddress
import re

LARGEST_PORT = 65_535
UNIX_SCHEMES = ("unix-abstract:", "unix:")
DNS_SCHEMES = ("dns:///", "dns:")
_USER = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:/+)?[^/]*@")
HOW = "Write HOST:PORT, such as localhost:50051."


def checked_address(text: str) -> str:
    """Check the address of a gRPC server.

    Args:
        text: the address, as a person gives it.

    Returns:
        The same text.

    Raises:
        ValueError: if it is no address; the message is one line that says what to write.
    """
    if not text.startswith(UNIX_SCHEMES):
        refuse_secrets(text)
    _check_characters(text)
    for scheme in UNIX_SCHEMES:
        if text.startswith(scheme):
            if not text.removeprefix(scheme).strip("/"):
                raise ValueError(f"{text!r} names no socket. Write {scheme}NAME or HOST:PORT.")
            return text
    scheme = next((each for each in DNS_SCHEMES if text.startswith(each)), "")
    _check_host_and_port(text.removeprefix(scheme))
    return text


def refuse_secrets(text: str) -> None:
    """Refuse an address that may have a secret in it, without showing it.

    That is a user before the host, perhaps with a password, or what comes behind a question mark or
    a number sign, such as ``?token=...``.

    Args:
        text: an address, with a scheme or without.

    Raises:
        ValueError: if it has one of these.
    """
    if _USER.match(text):
        raise ValueError(
            "The address has a user before its host, and perhaps a password, so it is not shown. "
            "Write it without both, and without the @."
        )
    if mark := re.search("[?#]", text):
        raise ValueError(
            f"The address has a {mark[0]}, and perhaps a secret behind it, so it is not shown. "
            f"Write it without the {mark[0]} and what follows."
        )


def is_host_name(text: str) -> bool:
    """Tell whether a text could be the name of a host or an IPv4 address.

    Args:
        text: the text, without white space.
    """
    return bool(text) and not any(character in text for character in "/@?#,;:[]\\\"'")


def is_ipv6(text: str) -> bool:
    """Tell whether a text is an IPv6 address.

    Args:
        text: the text, without brackets.
    """
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _check_characters(text: str) -> None:
    if not text.strip():
        raise ValueError(f"The address is empty. {HOW}")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(
            f"{text!r} has white space or another character that no address has. {HOW}"
        )


def _check_host_and_port(text: str) -> None:
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        rest = text.removeprefix(scheme[0]).partition("/")[0]
        raise ValueError(
            f"{text!r} begins with {scheme[0]}; gRPC has no such addresses. Write {rest}."
        )
    if is_ipv6(text):
        raise ValueError(
            f"{text!r} is an IPv6 address. Write it in brackets with a port, such as "
            f"[{text}]:50051."
        )
    host, colon, port = text.rpartition(":")
    if not colon or (host.startswith("[") and "]" not in host):
        raise ValueError(f"{text!r} has no port. {HOW}")
    _check_host(host, text)
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= LARGEST_PORT):
        raise ValueError(
            f"{text!r} has no port from 1 to {LARGEST_PORT:,} after its last colon. {HOW}"
        )


def _check_host(host: str, text: str) -> None:
    if host.startswith("["):
        if not (host.endswith("]") and is_ipv6(host[1:-1])):
            raise ValueError(f"{text!r} has no IPv6 address in its brackets. {HOW}")
    elif not is_host_name(host):
        raise ValueError(f"{text!r} has no single host before its last colon. {HOW}")
