"""The audit of the pinned packages, by the real pip-audit and a database of this machine."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.policies.checkers import programs_of
from tests.support.paths import ROOT

FLAWED = {
    "id": "MADE-UP-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "a defect made up for tests",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "pillow"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "13.0.1"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """Knows one vulnerability, of pillow."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"vulns": [FLAWED]} if asked["package"]["name"] == "pillow" else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def python() -> Path:
    return programs_of("audit") / "python"


def audit(
    python: Path, folder: Path, pinned: str, url: str, home: Path
) -> subprocess.CompletedProcess[str]:
    requirements = folder / "constraints.txt"
    requirements.write_text(pinned)
    command = [python, ROOT / "deploy/checks/audit.py", requirements, "--osv-url", url]
    environment = {"HOME": str(home), "no_proxy": "*"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_vulnerable_package_is_named_and_fails_the_audit(python: Path, tmp_path: Path) -> None:
    with database() as url:
        done = audit(python, tmp_path, "numpy==2.4.6\npillow==13.0.0\n", url, tmp_path)
        assert done.returncode == 1, done.stderr
        assert "pillow 13.0.0: MADE-UP-1, fixed in 13.0.1" in done.stdout
        assert "audit: 2 packages; vulnerabilities: 1" in done.stdout
        done = audit(python, tmp_path, "numpy==2.4.6\n", url, tmp_path)
        assert (done.returncode, done.stdout) == (0, "audit: 1 packages; vulnerabilities: 0\n")


def test_without_a_database_the_audit_says_so_and_passes(python: Path, tmp_path: Path) -> None:
    done = audit(python, tmp_path, "numpy==2.4.6\n", "http://127.0.0.1:1/v1/query", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cannot be reached; nothing was checked" in done.stdout


def test_an_audit_that_cannot_read_its_list_fails(python: Path, tmp_path: Path) -> None:
    done = audit(python, tmp_path, "numpy=2.4.6\n", "http://127.0.0.1:1/v1/query", tmp_path)
    assert done.returncode == 1
    assert "audit: pip-audit failed: " in done.stderr
