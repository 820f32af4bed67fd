"""When a certificate expires: one field of X.509, which Python's ssl reads of a peer's only."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

from retrieval_server.access.watched_files import file_content
from retrieval_server.errors import RetrievalError

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17  # tags of ASN.1


def expires_at(path: Path, option: str) -> float:
    """When the first certificate of a PEM file expires.

    Args:
        path: the file; other certificates may follow.
        option: that names the file, for the error.

    Returns:
        Seconds since 1970.

    Raises:
        RetrievalError: if the file has no certificate.
    """
    found = _FIRST.search(file_content(path, option).decode("ascii", "replace"))
    try:
        if found is None:
            raise ValueError("no BEGIN CERTIFICATE")
        return _not_after(ssl.PEM_cert_to_DER_cert(found[0]))
    except (ValueError, IndexError) as error:
        raise RetrievalError(f"{path} ({option}) holds no PEM certificate: {error}.") from error


def _not_after(certificate: bytes) -> float:
    """The second time of Validity, a field of TBSCertificate in Certificate (RFC 5280, 4.1)."""
    to_be_signed = _parts(_parts(certificate)[0][1])[0][1]
    fields = _parts(to_be_signed)
    validity = fields[4 if fields[0][0] == _VERSION else 3][1]
    tag, text = _parts(validity)[1]
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC).timestamp()


def _parts(content: bytes) -> list[tuple[int, bytes]]:
    """The elements of a DER sequence, each with its tag."""
    found, at = [], 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:  # the length itself takes as many bytes
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size]), at + size
        found.append((tag, content[at : at + length]))
        at += length
    return found
