"""The component ``gateway``: tokens reach the server, by TLS all the way; or nothing is rendered.

The gateway is one of ours that does what the manifests say, see ``support/deploy/gateway.py``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from deploy.policies.rendering import Manifests, manifests
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.deploy.certificates import certificate_of, signed
from tests.support.deploy.gateway import gateway
from tests.support.patience import PATIENCE_S
from tests.support.served import ServedBy

TOKEN = "token-behind-the-gateway"


@pytest.fixture(scope="module")
def rendered() -> Manifests:
    return manifests("gpu-prod", ("tls", "client-tls", "gateway"))


@contextmanager
def channel(address: str, host: str, authority: Path) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    name = [("grpc.ssl_target_name_override", host)]
    with grpc.secure_channel(address, credentials, name) as opened:
        yield opened


def test_a_token_is_asked_for_behind_the_gateway_and_gets_through(
    rendered: Manifests, served_by: ServedBy, certificates: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    (listener,) = rendered.get("Gateway/beauty-retrieval")["spec"]["listeners"]
    host, ca = listener["hostname"], certificates / "ca.pem"
    cert, key = certificate_of(rendered, "retrieval", certificates, tmp_path)
    own = signed(certificates, tmp_path, "gateway", [host])

    with (
        served_by(tls_cert=cert, tls_key=key, token_file=tokens) as server,
        gateway(rendered, server.address, own, ca) as address,
        channel(address, host, ca) as opened,
    ):
        stub = pb_grpc.RetrievalServiceStub(opened)
        shown = [("authorization", f"Bearer {TOKEN}")]
        answer = stub.GetStatus(pb.GetStatusRequest(), metadata=shown, timeout=PATIENCE_S)
        assert answer.profile == "tiny"

        for wrong in ([], [("authorization", "Bearer token-of-somebody-else")]):
            with pytest.raises(grpc.RpcError) as refused:
                stub.GetStatus(pb.GetStatusRequest(), metadata=wrong, timeout=PATIENCE_S)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

        reflect = reflection_pb2_grpc.ServerReflectionStub(opened).ServerReflectionInfo
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as not_routed:
            list(reflect(iter([request]), metadata=shown, timeout=PATIENCE_S))
        assert not_routed.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("parts", [("gateway",), ("tls", "gateway")], ids="+".join)
def test_a_gateway_to_servers_without_tokens_is_not_rendered(parts: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be rendered: .*Certificate.*/retrieval"):
        manifests("gpu-prod", parts)
