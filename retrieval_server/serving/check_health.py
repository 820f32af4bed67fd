"""Asks a server for its health, as a container's health check does: ``beauty-server health``."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from retrieval_server.command_line.proxies import proxy_options
from retrieval_server.v1 import retrieval_pb2 as pb

TIMEOUT_S = 3.0
SERVICE = pb.DESCRIPTOR.services_by_name["RetrievalService"].full_name


def health_of(address: str) -> str:
    """Ask whether a server can search.

    Args:
        address: ``host:port`` without TLS.

    Returns:
        SERVING, NOT_SERVING, or the status and the details of a call that failed.
    """
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    with grpc.insecure_channel(address, options=proxy_options(address)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
