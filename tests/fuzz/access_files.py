"""The readers of what an operator writes: profiles, bearer tokens, certificates."""

import ssl
from collections.abc import Callable
from pathlib import Path

from export.models.profiles import PROFILES, find_profile, profile_toml
from retrieval_server.access.bearer_tokens import BearerTokens
from retrieval_server.access.expiry import expires_at
from retrieval_server.errors import ProfileError, RetrievalError
from tests.fuzz.target import Prepared, Target

PROFILE_FILES = (
    *(profile_toml(profile).encode() for profile in PROFILES.values()),
    b'name = "mine"\nside = 320\n[[backbones]]\nmodel = "m"\ntimm_name = "t"\nalpha = 2\n'
    b"mean = [0.5, 0.5, 0.5]\nstd = [1, 1, 1]\np = 3.0\n",
    b"x = " + b"[" * 900,
    b'name = "mine"\nside = 320\n[[backbones]]\nmodel = "m"\ntimm_name = "t"\nalpha = 1'
    + b"0" * 400,
)
TOKEN_FILES = (
    b"0123456789abcdef search,change\n",
    b"\n  0123456789abcdef  \r\nfedcba9876543210-+/=\n",
)


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def _certificate(*times: bytes) -> bytes:
    """The fields of a certificate up to its validity, which is what is read here."""
    version, serial = _der(0xA0, _der(2, b"\2")), _der(2, b"\1")
    return _der(0x30, _der(0x30, version, serial, _der(0x30), _der(0x30), _der(0x30, *times)))


CERTIFICATES = (
    _certificate(_der(0x17, b"260101000000Z"), _der(0x17, b"270101000000Z")),
    _certificate(_der(0x18, b"20260101000000Z"), _der(0x18, b"20990101000000Z")),
)


def _reading(
    name: str, seeds: tuple[bytes, ...], read: Callable[[Path, bytes], object]
) -> Callable[[Path], Prepared]:
    def prepare(folder: Path) -> Prepared:
        return Prepared(lambda data: read(folder / name, data), seeds)

    return prepare


def _profile(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    find_profile(str(path))


def _tokens(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    BearerTokens(path, {})


def _expiry(path: Path, data: bytes) -> None:
    path.write_text(ssl.DER_cert_to_PEM_cert(data))
    expires_at(path, "--tls-cert")


ACCESS_FILES = (
    Target("profile", _reading("any.toml", PROFILE_FILES, _profile), (ProfileError,), longest=1024),
    Target("tokens", _reading("tokens", TOKEN_FILES, _tokens), (RetrievalError,), longest=256),
    Target(
        "certificate", _reading("any.pem", CERTIFICATES, _expiry), (RetrievalError,), longest=256
    ),
)
