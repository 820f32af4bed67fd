"""Policy 13, on the connections of clients: they reach every pod, and notice new ones."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.rendering import Manifests, name_of
from deploy.policies.rendering.quantities import flag, number
from deploy.policies.workloads import READY_SERVICE, SERVERS, WRITER

LONGEST_AGE_S = 900  # until every client knows of a new pod


def balanced_connections(rendered: Manifests) -> Iterator[str]:
    """13: clients resolve every pod, connections end, and ports name their protocol."""
    for name in (*SERVERS, *([WRITER] if rendered.pods(WRITER) else ())):
        service = rendered.get(f"Service/{name}")["spec"]
        if service.get("clusterIP") != "None":
            yield f"Service/{name} is not headless, so that each client stays at one pod"
        for port in service["ports"]:
            if not port.get("name") or isinstance(port.get("targetPort"), int):
                yield f"Service/{name} has a port or a targetPort without a name"
            spoken = "https" if _speaks_tls(rendered, name) else "kubernetes.io/h2c"
            if port.get("appProtocol") != spoken:
                yield (
                    f"Service/{name}, port {port.get('name')}, does not have the appProtocol "
                    f"{spoken}"
                )
    for service in rendered.of_kind("Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{name_of(service)} is open to clients outside of the cluster"
    (triton,) = rendered.pods("triton")
    ages = {
        "triton": number(flag(triton.main["args"], "--grpc-max-connection-age")) / 1000,
        "retrieval": number(rendered.settings().get("RETRIEVAL_MAX_CONNECTION_AGE_S")),
    }
    for name, age in ages.items():
        if not 0 < age <= LONGEST_AGE_S:
            yield (
                f"Deployment/{name} keeps connections for {age:g} s, so that new pods get no "
                "traffic"
            )
    for route in rendered.of_kind("GRPCRoute"):
        methods = [
            match.get("method", {})
            for rule in route["spec"]["rules"]
            for match in rule.get("matches") or [{}]
        ]
        services = {method.get("service", "everything") for method in methods}
        if services != {READY_SERVICE, "grpc.health.v1.Health"}:
            yield f"{name_of(route)} routes {sorted(services)} from outside, not search and health"


def _speaks_tls(rendered: Manifests, name: str) -> bool:
    if name == "triton":
        return flag(rendered.pods(name)[0].main["args"], "--grpc-use-ssl-mutual") == "true"
    return "RETRIEVAL_TLS_CERT" in rendered.settings()
