"""A Gateway on this machine: it does with a gRPC call what its manifests say.

TLS ends here. What a GRPCRoute has is passed on with its metadata, by TLS with the name and the
authority of the BackendTLSPolicy. An implementation of the Gateway API does the same by a proxy.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc

from deploy.policies.rendering import Manifests
from tests.support.patience import PATIENCE_S


class Route(grpc.GenericRpcHandler):
    """Passes the calls of some services on; the others are UNIMPLEMENTED."""

    def __init__(self, channel: grpc.Channel, services: set[str]) -> None:
        self._channel = channel
        self._services = services

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method.split("/")[1] not in self._services:
            return None
        pass_on = self._channel.unary_unary(details.method)

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            metadata = [(key, value) for key, value in context.invocation_metadata()
                        if not key.startswith(("grpc-", "user-agent"))]  # fmt: skip
            try:
                return pass_on(request, metadata=metadata, timeout=PATIENCE_S)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(call)


@contextmanager
def gateway(
    rendered: Manifests, backend: str, certificate: tuple[Path, Path], authority: Path
) -> Iterator[str]:
    """Run the Gateway of a rendering.

    Args:
        rendered: with Gateway, GRPCRoute and BackendTLSPolicy.
        backend: address of the retrieval server.
        certificate: what the Secret ``gateway-tls`` holds, and its key.
        authority: what ``ca.crt`` of the BackendTLSPolicy's Secret holds.

    Yields:
        The address of the Gateway.
    """
    (policy,) = rendered.of_kind("BackendTLSPolicy")
    (route,) = rendered.of_kind("GRPCRoute")
    services = {
        match["method"]["service"] for rule in route["spec"]["rules"] for match in rule["matches"]
    }
    cert, key = certificate
    channel = grpc.secure_channel(
        backend,
        grpc.ssl_channel_credentials(authority.read_bytes()),
        [("grpc.ssl_target_name_override", policy["spec"]["validation"]["hostname"])],
    )
    with ThreadPoolExecutor(2) as pool, channel:
        server = grpc.server(pool, handlers=[Route(channel, services)])
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
