"""The certificates of the manifests are valid for every address that the documents name."""

import re
from pathlib import Path

import grpc
import pytest

from client.channel import DEFAULT_SERVER
from deploy.policies.rendering import DEPLOY, Manifests, manifests
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.deploy.certificates import certificate_of
from tests.support.patience import PATIENCE_S
from tests.support.served import ServedBy

PORTS = {50051: "retrieval", 8001: "triton"}
WRITER = "writer"  # of the same port as the retrieval server
ADDRESS = re.compile(r"(?<![\w.-])([a-z][\w.-]*):(50051|8001)\b")


@pytest.fixture(scope="module")
def rendered() -> Manifests:
    return manifests("cpu-dev", ("tls", "client-tls", "changes"))


def named_hosts(rendered: Manifests, service: str) -> set[str]:
    """The hosts by which documents and manifests call a service in the cluster."""
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.glob("*.md")]
    containers = [each for pods in rendered.pods() for each in pods.containers]
    texts += [word for each in containers for word in each.get("args", ())]
    texts += [value for each in containers for value in rendered.environment_of(each).values()]
    found = {
        (host, WRITER if host.partition(".")[0] == WRITER else PORTS[int(port)])
        for text in texts
        for host, port in ADDRESS.findall(text)
    }
    return {host for host, named in found if named == service}


def test_the_documents_name_addresses_of_the_server_and_of_triton(rendered: Manifests) -> None:
    assert named_hosts(rendered, "retrieval") >= {"retrieval", "retrieval.beauty-retrieval"}
    assert named_hosts(rendered, "triton") >= {"triton"}
    assert named_hosts(rendered, "writer") >= {"writer.beauty-retrieval"}


@pytest.mark.parametrize("service", ["retrieval", "triton", "writer"])
def test_every_address_that_is_named_passes_the_handshake(
    service: str, rendered: Manifests, served_by: ServedBy, certificates: Path, tmp_path: Path
) -> None:
    """By gRPC's own check of the name; the server here is ours in both cases."""
    cert, key = certificate_of(rendered, service, certificates, tmp_path)
    hosts = named_hosts(rendered, service)
    if service != "triton":
        hosts.add(DEFAULT_SERVER.partition(":")[0])  # after kubectl port-forward

    with served_by(tls_cert=cert, tls_key=key) as server:
        for host in sorted(hosts):
            assert is_reached(server.address, host, certificates / "ca.pem"), host
        assert not is_reached(server.address, f"{service}.default", certificates / "ca.pem")


def is_reached(address: str, host: str, authority: Path) -> bool:
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    name = [("grpc.ssl_target_name_override", host)]
    with grpc.secure_channel(address, credentials, name) as channel:
        call = pb_grpc.RetrievalServiceStub(channel).GetStatus.future(
            pb.GetStatusRequest(), timeout=PATIENCE_S
        )
        assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        return call.code() is grpc.StatusCode.OK


def test_the_names_of_a_second_deployment_are_its_own(rendered: Manifests) -> None:
    other = manifests("cpu-dev", ("tls", "client-tls"), namespace="other")
    names = set(other.get("Certificate/retrieval")["spec"]["dnsNames"])

    assert "retrieval.other" in names
    assert names & set(rendered.get("Certificate/retrieval")["spec"]["dnsNames"]) == {
        "retrieval",
        "localhost",
    }
