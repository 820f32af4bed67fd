"""Asks a server for its health, for a container's health check: ``python -m`` this HOST:PORT.

Exit status 0 if the server can search, 1 if not. Where its port speaks TLS, ask ``--health-port``.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from retrieval_server.v1 import retrieval_pb2 as pb

TIMEOUT_S = 3.0
SERVICE = pb.DESCRIPTOR.services_by_name["RetrievalService"].full_name


def health(address: str) -> str:
    """What a server says of its readiness: SERVING, NOT_SERVING, or why there is no answer.

    Args:
        address: ``host:port`` without TLS.
    """
    options = [("grpc.enable_http_proxy", 0)]
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m retrieval_server.serving.check_health HOST:PORT")
    state = health(sys.argv[1])
    if state != "SERVING":
        sys.exit(f"{sys.argv[1]}: {state}")


if __name__ == "__main__":
    main()
