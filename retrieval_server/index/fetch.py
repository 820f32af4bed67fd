"""Copies the current version of an index from a web server to a local disk.

Any server of files will do, such as a bucket: ``SOURCE/current`` names the version, and
``SOURCE/VERSION/`` has its files. A copy that was interrupted is continued: complete files are
kept, and a partial file is continued where it ends. The version becomes current when every file
matches its checksum.
"""

from __future__ import annotations

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from retrieval_server.command_line.addresses import refuse_secrets
from retrieval_server.command_line.proxies import is_this_machine
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.manifest import (
    MANIFEST_FILE,
    WrittenFile,
    digest_in_name,
    read_manifest,
)
from retrieval_server.index.publish import (
    APPROVED_FILE,
    CURRENT_FILE,
    LONGEST_NAME,
    is_version,
    make_current,
    readable_current,
    store,
)
from retrieval_server.storage.arrays import sync
from retrieval_server.storage.digest import file_digest

SCRATCH = ".fetch-"  # the name of the version follows
ATTEMPTS = 5  # for each file; the next run of the command continues
FIRST_PAUSE_S = 0.5  # before another attempt; doubles each time
TIMEOUT_S = 60.0  # of the server, for its next bytes
PIECE = 1 << 20
MANIFEST_LIMIT = 1 << 24  # bytes; a manifest has some kilobytes
LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}  # and every status above 499
AGAIN = "Run the command again: it continues."


@dataclass(frozen=True)
class Fetched:
    """What was copied.

    Attributes:
        version: that is current now.
        bytes: that were transferred; 0 if the version was current before.
    """

    version: str
    bytes: int


class _TransientError(Exception):
    """Another attempt may succeed."""


def checked_source(text: str) -> str:
    """The URL of an index folder, without a slash at its end.

    Raises:
        ValueError: if it is no URL of HTTP, saying what to write.
    """
    refuse_secrets(text)
    if not _is_folder(text):
        raise ValueError(
            f"{text!r} is not the URL of a folder. Write https://HOST/PATH of the folder that has "
            f"the file {CURRENT_FILE}, without spaces."
        )
    return text.rstrip("/")


def _is_folder(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:
        return False
    is_clean = text.isascii() and text.isprintable() and " " not in text
    is_http = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return is_http and has_port and is_clean


def fetch(source: str, root: Path) -> Fetched:
    """Copy the current version of an index, and make it current here.

    Args:
        source: URL of the index folder, see ``checked_source``.
        root: index folder of this machine; it is made if it does not exist.

    Raises:
        IndexBundleError: if the server has no index, does not answer, or sends damaged files; or if
            the disk has no space.
        OSError: if the folder cannot be written.
    """
    transfer = _Transfer(source)
    version = transfer.version(CURRENT_FILE)
    if readable_current(root) == version and is_version(root / version):
        return Fetched(version, 0)
    scratch = root / f"{SCRATCH}{version}"
    for abandoned in root.glob(f"{SCRATCH}*"):  # of an older version
        if abandoned != scratch:
            shutil.rmtree(abandoned)
    scratch.mkdir(parents=True, exist_ok=True)
    transfer.manifest(version, scratch)
    _, files = read_manifest(scratch)
    _require_space(scratch, files)
    for name, written in files.items():
        if Path(name).name != name or name.startswith("."):
            raise IndexBundleError(f"The manifest of {source}/{version} names a file {name!r}.")
        transfer.file(f"{version}/{name}", scratch / name, written)
        sync(scratch / name)
    sync(scratch)
    store(scratch, root, version)
    make_current(root, version, is_approved=transfer.is_approved(version))
    return Fetched(version, transfer.bytes)


class _Transfer:
    """Requests to one server.

    Args:
        source: URL of the index folder.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self.bytes = 0
        # The proxies of the environment, but none for this machine.
        is_direct = is_this_machine(urlsplit(source).netloc)
        handlers = [urllib.request.ProxyHandler({})] if is_direct else []
        self._opener = urllib.request.build_opener(*handlers)

    def version(self, file: str) -> str:
        """The name of the version that a small file holds."""
        name = self._small(file, 2 * LONGEST_NAME)[0].decode("utf-8", "replace").strip()
        if not name or name.startswith(".") or "/" in name or not name.isprintable():
            raise IndexBundleError(f"{self._source}/{file} does not hold the name of a version.")
        return name

    def is_approved(self, version: str) -> bool:
        """Whether the server's file ``approved`` names a version."""
        try:
            return self.version(APPROVED_FILE) == version
        except IndexBundleError:
            return False

    def manifest(self, version: str, folder: Path) -> None:
        """Write the manifest of a version to a folder, with the time at which it was built."""
        url = f"{self._source}/{version}/{MANIFEST_FILE}"
        content, modified = self._small(f"{version}/{MANIFEST_FILE}", MANIFEST_LIMIT)
        path = folder / MANIFEST_FILE
        path.write_bytes(content)
        if not version.endswith(f"-{digest_in_name(folder)}"):
            raise IndexBundleError(
                f"{url} has another digest than the name of its folder. Copy the index to the "
                "server again."
            )
        if modified is not None:
            os.utime(path, (modified, modified))
        sync(path)

    def file(self, name: str, path: Path, written: WrittenFile) -> None:
        """Copy a file, or the rest of it, and compare it with its checksum."""
        reason = ""
        for _ in _attempts():
            try:
                if not path.exists() or path.stat().st_size < written.bytes:
                    self._append(name, path, written.bytes)
                _require_checksum(path, written)
            except _TransientError as error:
                reason = str(error)
            else:
                return
        raise IndexBundleError(f"Cannot copy {self._source}/{name}: {reason}. {AGAIN}")

    def _append(self, name: str, path: Path, wanted: int) -> None:
        """Add what is missing; if the server sends the whole file, begin again."""
        have = path.stat().st_size if path.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._open(name, headers) as answer:
            sent = str(answer.headers.get("Content-Range", ""))
            is_rest = answer.status == HTTPStatus.PARTIAL_CONTENT and sent.startswith(
                f"bytes {have}-"
            )
            with path.open("ab" if is_rest else "wb") as file:
                while file.tell() <= wanted and (piece := _read(answer)):
                    file.write(piece)
                    self.bytes += len(piece)
        if path.stat().st_size < wanted:
            raise _TransientError("the connection ended too early")

    def _small(self, name: str, limit: int) -> tuple[bytes, float | None]:
        """The content of a small file, and when it was modified, if the server says so."""
        reason = ""
        for _ in _attempts():
            try:
                with self._open(name, {}) as answer:
                    content = answer.read(limit)
                    return content, _modified(answer.headers.get("Last-Modified"))
            except (_TransientError, OSError, http.client.HTTPException) as error:
                reason = _reason(error)
        raise IndexBundleError(f"Cannot read {self._source}/{name}: {reason}. {AGAIN}")

    def _open(self, name: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        url = f"{self._source}/{quote(name)}"
        request = urllib.request.Request(  # noqa: S310 - checked_source: HTTP alone
            url, headers={"Accept-Encoding": "identity", **headers}
        )
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in LATER or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _TransientError(f"the server says {error.code} {error.reason}") from error
            raise IndexBundleError(
                f"Cannot read {url}: the server says {error.code} {error.reason}. Check that it "
                "has the whole index folder."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(_reason(error)) from error
        return answer


def _attempts() -> Iterator[int]:
    """Count the attempts, with a pause before each but the first."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        yield attempt


def _require_checksum(path: Path, written: WrittenFile) -> None:
    """Delete a file that differs from its checksum: the next attempt begins again."""
    if path.stat().st_size != written.bytes or file_digest(path) != written.sha256:
        path.unlink()
        raise _TransientError("the file differs from its checksum")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(PIECE)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _modified(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _require_space(scratch: Path, files: dict[str, WrittenFile]) -> None:
    here = sum(path.stat().st_size for path in scratch.iterdir() if path.name in files)
    missing, free = (
        sum(each.bytes for each in files.values()) - here,
        shutil.disk_usage(scratch).free,
    )
    if missing > free:
        raise IndexBundleError(
            f"{scratch.parent} has {free / 1e9:.1f} GB of free space, and the index needs "
            f"{missing / 1e9:.1f} GB more. Give it a larger disk."
        )
