"""In place of nodes: says of every pod that it runs, and of a job's pod that it has succeeded."""

import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.support.control_plane.running import ControlPlane

EVERY_S = 0.2


@contextmanager
def pods_run(plane: ControlPlane) -> Iterator[None]:
    """Let all pods run, now and later, until the end; no container is started."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY_S):
            for pod in plane.request("/api/v1/pods")["items"]:
                if pod["status"]["phase"] == "Pending":
                    _run(plane, pod)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def _run(plane: ControlPlane, pod: dict[str, Any]) -> None:
    metadata = pod["metadata"]
    is_of_a_job = metadata["ownerReferences"][0]["kind"] == "Job"
    ready = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    status = {"phase": "Succeeded"} if is_of_a_job else {"phase": "Running", "conditions": [ready]}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    try:
        plane.request(path, "PATCH", {"status": status})
    except urllib.error.HTTPError as error:
        if error.code not in (404, 409):  # deleted or changed since it was listed
            raise
