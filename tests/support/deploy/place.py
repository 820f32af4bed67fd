"""Where the pods of the manifests run when they run on this machine: programs, folders, ports."""

import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from client import Access
from client.__main__ import main as search_main
from deploy.policies.rendering import DEPLOY, ROOT, Manifests
from export.__main__ import main as export_main
from retrieval_server.__main__ import main as server_main
from tests.support.deploy.collector import Collector
from tests.support.deploy.kubelet import Place
from tests.support.programs.command import command

sys.path.insert(0, str(DEPLOY / "local_triton"))
from environment import set_up

MARK = "beauty_triton_manifests_"
TOKEN = "a token of the tests".replace(" ", "-")
PAIRS = {"triton": "server", "triton-client": "client", "retrieval": "server"}
SENDS_SOON = "--trace-config=opentelemetry,bsp_schedule_delay=100"  # ms; 5 s are its own


def write_secrets(certificates: Path, root: Path) -> None:
    """Write what the Secrets of components ``tls`` and ``client-tls`` hold."""
    for name, pair in PAIRS.items():
        (root / "tls" / name).mkdir(parents=True)
        for source, target in ((f"{pair}.pem", "tls.crt"), (f"{pair}.key", "tls.key")):
            shutil.copy(certificates / source, root / "tls" / name / target)
        shutil.copy(certificates / "ca.pem", root / "tls" / name / "ca.crt")
    shutil.copy(certificates / "ca.pem", root / "tls" / "ca.crt")
    (root / "tokens").mkdir()
    (root / "tokens" / "tokens").write_text(f"the-token-before-this-one\n{TOKEN}\n")
    for client in ("smoke-test", "web"):
        (root / "tokens" / client).write_text(f"{TOKEN}\n")


def tls_of_triton_s_clients(secrets: Path) -> dict[str, str]:
    """What ``tritonclient`` wants to know of the certificates that ``write_secrets`` wrote."""
    own = secrets / "tls" / "triton-client"
    files = {
        "root_certificates": "ca.crt",
        "private_key": "tls.key",
        "certificate_chain": "tls.crt",
    }
    return {name: str(own / file) for name, file in files.items()}


def access_to(rendered: Manifests, secrets: Path) -> Access:
    """How a client gets in."""
    if "RETRIEVAL_TLS_CERT" not in rendered.settings():
        return Access()
    return Access(tls_ca=secrets / "tls" / "ca.crt", token_file=secrets / "tokens" / "smoke-test")


def channel_to(address: str, access: Access) -> grpc.Channel:
    """A channel of a client, with TLS where there is TLS."""
    credentials = access.credentials()
    if credentials is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, credentials)


def place_on_this_machine(
    rendered: Manifests, paths: dict[str, Path], profile: Path, collector: Collector
) -> Place:
    """The place of the pods of a rendering.

    Args:
        rendered: with the pods.
        paths: folders by their path in the containers.
        profile: the profile of the images.
        collector: where traces go, if there are any.
    """
    triton = set_up(ROOT / "build" / "local_triton")
    with ExitStack() as held:
        ports = {
            name: {port["containerPort"]: free_port(held) for port in pods.main["ports"]}
            for name in ("triton", "retrieval", "web")
            for pods in rendered.pods(name)
        }
    host = collector_host(rendered)
    if host:
        ports[host] = {4317: collector.grpc_port, 4318: collector.http_port}
    return Place(
        programs={
            "tritonserver": [str(triton.tritonserver)],
            "beauty-server": command(server_main),
            "beauty-search": command(search_main),
            "beauty-export": command(export_main),
        },
        paths=paths,
        ports=ports,
        left_out=frozenset({"NUMBA_CACHE_DIR"}),  # here it is warm beside the package
        words={"0.0.0.0": "127.0.0.1", "--host=0.0.0.0": "--host=127.0.0.1"},
        of_the_images={"BEAUTY_EXPORT_PROFILE": str(profile)},
        more_arguments={
            "tritonserver": [
                f"--backend-directory={triton.backends}",
                f"--cache-directory={triton.triton / 'caches'}",
                f"--backend-config=python,shm-region-prefix-name={MARK}",
                *(f"--{each}-address=127.0.0.1" for each in ("grpc", "http", "metrics")),
                *([SENDS_SOON] if host else []),
            ]
        },
    )


def collector_host(rendered: Manifests) -> str | None:
    """The name of the collector in the cluster; None where nothing is traced."""
    configs = [each["data"] for each in rendered.of_kind("ConfigMap")]
    urls = [data["TRITON_TRACES_URL"] for data in configs if "TRITON_TRACES_URL" in data]
    return urlsplit(urls[0]).hostname if urls else None


def free_port(held: ExitStack) -> int:
    """A port nobody has, held until all are chosen."""
    holder = held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])
