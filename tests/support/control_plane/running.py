"""Starts a control plane: etcd, the API server and the controllers, without nodes."""

import json
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.patience import eventually

TOKEN = "of-a-test"
# Later versions have it without asking.
GATES = "--feature-gates=TTLAfterFinished=true"


@dataclass(frozen=True)
class ControlPlane:
    """An API server that answers, with its controllers.

    Attributes:
        url: of the API server.
        kubeconfig: the file for the variable KUBECONFIG; its user may do everything.
    """

    url: str
    kubeconfig: Path

    def request(
        self, path: str, method: str = "GET", body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """One request; what the server answers.

        Raises:
            urllib.error.URLError: if it fails.
        """
        kind = "merge-patch+json" if method == "PATCH" else "json"
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": f"application/{kind}",
             "Accept": "application/json"},
            method=method,
        )  # fmt: skip
        trusting = ssl._create_unverified_context()  # it signs its certificate itself
        with urllib.request.urlopen(request, context=trusting) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def answer(self, path: str, method: str) -> tuple[int, dict[str, Any]]:
        """The code and the body of any answer; an empty body if it is no JSON."""
        try:
            return 200, self.request(path, method)
        except urllib.error.HTTPError as error:
            is_json = error.headers.get_content_type() == "application/json"
            return error.code, json.load(error) if is_json else {}

    def is_ready(self) -> bool:
        """Whether the API server answers, with what it makes at its start."""
        try:
            self.request("/api/v1/namespaces/kube-system")
            self.request("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        except urllib.error.URLError:
            return False
        return True


@contextmanager
def control_plane(programs: Path, folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane.

    Args:
        programs: the folder that has them.
        folder: for its data, its keys and its logs; empty.
    """
    etcd, peer, api = free_ports(3)
    store = f"http://127.0.0.1:{etcd}"
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},tester,tester,system:masters\n")
    plane = ControlPlane(f"https://127.0.0.1:{api}", _kubeconfig(folder, api))
    with ExitStack() as running:

        def start(name: str, *options: str) -> None:
            running.enter_context(
                _running([str(programs / name), *options], folder / f"{name}.log")
            )

        start(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )
        start(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={api}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.test",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            GATES,
        )
        eventually(plane.is_ready)
        start(
            "kube-controller-manager",
            f"--kubeconfig={plane.kubeconfig}",
            f"--service-account-private-key-file={key}",
            "--leader-elect=false",
            "--port=0",
            "--secure-port=0",
            GATES,
        )
        yield plane


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    """Run a program until the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    name = "test"
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"token": TOKEN}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has at the moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
