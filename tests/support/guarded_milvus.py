"""Milvus Lite behind a door of its own: TLS that asks for a certificate, and a token."""

import base64
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from retrieval_server.stores.address import StoreAddress

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Door(grpc.GenericRpcHandler):
    """Passes each call on to a server, unless it shows another token.

    Attributes:
        token: what a call has to show, as Milvus asks for it: in base64.
    """

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._channel, self.token = channel, token

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        metadata = dict(handler_call_details.invocation_metadata)
        shown = metadata.get("authorization", "")
        passed_on = self._channel.unary_unary(handler_call_details.method)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if shown != base64.b64encode(self.token.encode()).decode():
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
            try:
                response: bytes = passed_on(request)
            except grpc.RpcError as error:  # such as a method that Milvus Lite does not have
                context.abort(error.code(), error.details())
            return response

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.contextmanager
def guarded_milvus(
    folder: Path, certificates: Path, token: str
) -> Iterator[tuple[StoreAddress, Door]]:
    """Serve a new Milvus Lite behind such a door.

    Args:
        folder: where its data are written.
        certificates: with ``ca.pem``, ``server.pem`` and ``server.key``.
        token: what a call has to show at first.
    """
    lite = pytest.importorskip(
        "milvus_lite.adapter.grpc.server", reason="needs the extra milvus-lite"
    )
    behind, database, port = lite.start_server_in_thread(str(folder / "guarded"))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS)
    door = Door(channel, token)
    server = grpc.server(ThreadPoolExecutor(8), [door], options=OPTIONS)
    credentials = grpc.ssl_server_credentials(
        [((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())],
        (certificates / "ca.pem").read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield StoreAddress.of(f"milvus://127.0.0.1:{port}/products"), door
    finally:
        server.stop(None).wait()
        channel.close()
        behind.stop(None).wait()
        database.close()
