"""A web server of a folder's files, with ranges and with the faults that a test asks for."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class FileServer:
    """What it serves, and how it fails.

    Attributes:
        folder: whose files it serves.
        url: of the folder.
        has_ranges: whether it sends a part of a file.
        cut_after: bytes after which it closes the connection, for each of the next answers.
        statuses: of the next answers, before it serves any file.
        damaged: how many of the next answers have another first byte.
        sent: the bytes of all answers.
        requests: path and header ``Range`` of each request.
    """

    folder: Path
    url: str = ""
    has_ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    damaged: int = 0
    sent: int = 0
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving_files(folder: Path, **behaviour: object) -> Iterator[FileServer]:
    """Serve a folder on loopback."""
    files = FileServer(folder, **behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            files.requests.append((self.path, asked))
            path = files.folder / unquote(self.path).lstrip("/")
            status = files.statuses.pop(0) if files.statuses else 200 if path.is_file() else 404
            if status != 200:
                self.send_error(status)
                return
            content, first = path.read_bytes(), 0
            if asked and files.has_ranges:
                status, first = 206, int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            body = content[first:]
            if files.damaged and path.suffix == ".npy":
                files.damaged -= 1
                body = bytes([body[0] ^ 1]) + body[1:]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
            if status == 206:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            limit = files.cut_after.pop(0) if files.cut_after and path.suffix == ".npy" else None
            self.wfile.write(body[:limit])
            files.sent += len(body[:limit])
            if limit is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        files.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()
