"""As much of an API server as kubectl needs to list and to delete objects; over HTTP, on loopback.

It starts at once; a real one has to be built first, see tests/support/control_plane. Discovery,
label selectors, deletion and finalizers are as in Kubernetes; there is no admission, no controller,
and nothing can be created.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from deploy.policies.rendering import Object

VERBS = ["delete", "get", "list"]


@dataclass
class Cluster:
    """The objects of a cluster.

    Attributes:
        objects: they can be changed at any time.
        kinds: the version and kind of each resource type, by its path: ``apps/v1/deployments``.
        down: versions of APIs that others serve and that do not answer, such as
            ``metrics.k8s.io/v1beta1``.
    """

    objects: list[Object]
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    down: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in self.objects:
            self.kinds[f"{each['apiVersion']}/{plural(each['kind'])}"] = (
                each["apiVersion"],
                each["kind"],
            )

    def names(self) -> set[str]:
        """The objects as ``Kind/name``."""
        return {f"{each['kind']}/{each['metadata']['name']}" for each in self.objects}

    def answer(self, method: str, url: str) -> tuple[int, Object]:
        """The status and the body of one request."""
        parts = urlsplit(url)
        path = parts.path.strip("/")
        if path == "version":
            return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
        if (discovered := self._discovery(path)) is not None:
            return 200, discovered
        api, _, rest = path.removeprefix("apis/").removeprefix("api/").partition("/namespaces/")
        if api in self.down:
            return 503, {}
        namespace, _, rest = rest.partition("/")
        resource, _, name = rest.partition("/")
        if f"{api}/{resource}" not in self.kinds:
            is_served = any(version == api for version, _ in self.kinds.values())
            absent = not_found("the server could not find the requested resource")
            return absent if is_served else (404, {})
        selector = parse_qs(parts.query).get("labelSelector", [""])[0]
        found = self._found(f"{api}/{resource}", namespace, name, selector)
        if name:
            return self._one(found, method, f'{resource} "{name}" not found')
        version, kind = self.kinds[f"{api}/{resource}"]
        listed = {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": found}
        return 200, listed

    def _found(self, resource: str, namespace: str, name: str, selector: str) -> list[Object]:
        return [
            each
            for each in self.objects
            if (each["apiVersion"], each["kind"]) == self.kinds[resource]
            and each["metadata"].get("namespace") == namespace
            and (not name or each["metadata"]["name"] == name)
            and selected(each, selector)
        ]

    def _one(self, found: list[Object], method: str, absent: str) -> tuple[int, Object]:
        """The answer to a request for one object."""
        if not found:
            return not_found(absent)
        (each,) = found
        if method == "DELETE" and each["metadata"].get("finalizers"):
            each["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        elif method == "DELETE":
            self.objects.remove(each)
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return 200, each

    def _discovery(self, path: str) -> Object | None:
        groups: dict[str, list[str]] = defaultdict(list)
        for version in (*(version for version, _ in self.kinds.values()), *self.down):
            groups[version.rpartition("/")[0]].append(version)
        if path == "api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": group, "versions": [{"groupVersion": v, "version": v.split("/")[1]}
                                             for v in dict.fromkeys(versions)],
                 "preferredVersion": {"groupVersion": versions[0],
                                      "version": versions[0].split("/")[1]}}
                for group, versions in groups.items() if group
            ]}  # fmt: skip
        asked = path.removeprefix("apis/").removeprefix("api/")
        served = [(key, kind) for key, (version, kind) in self.kinds.items() if version == asked]
        if not served:
            return None
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": asked, "resources": [
            {"name": key.rpartition("/")[2], "singularName": kind.lower(),
             "namespaced": kind != "Namespace", "kind": kind, "verbs": VERBS}
            for key, kind in served
        ]}  # fmt: skip


def not_found(message: str) -> tuple[int, Object]:
    """The answer to a request for what is not there."""
    told = {"status": "Failure", "code": 404, "reason": "NotFound", "message": message}
    return 404, {"kind": "Status", "apiVersion": "v1", "metadata": {}, **told}


def plural(kind: str) -> str:
    """The name of a resource type in a URL."""
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeo" else f"{word}s"


def selected(each: Object, selector: str) -> bool:
    """Whether an object has the labels of a selector, such as ``a=b``."""
    labels = each["metadata"].get("labels", {})
    wanted = [word.partition("=") for word in selector.split(",") if word]
    return all(labels.get(key) == value for key, _, value in wanted)


class Server(ThreadingHTTPServer):
    """Takes all connections that kubectl opens at once; five are the default."""

    request_queue_size = 64


@contextmanager
def api_server(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """Serve a cluster; yields the file for the variable KUBECONFIG."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = cluster.answer(self.command, self.path)
            content = json.dumps(body).encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        }  # fmt: skip
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        try:
            yield path
        finally:
            server.shutdown()
            serving.join()
