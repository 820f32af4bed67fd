"""A part of policy 11, on the gateway: TLS on both its sides, and tokens behind it."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.rendering import Manifests, Object, name_of


def gateway_findings(rendered: Manifests) -> Iterator[str]:
    """What opens the search to everybody, or sends tokens in the clear, one line each."""
    gateways = rendered.of_kind("Gateway")
    for gateway in gateways:
        for listener in gateway["spec"]["listeners"]:
            if listener["protocol"] != "HTTPS" or not listener.get("tls", {}).get(
                "certificateRefs"
            ):
                yield f"{name_of(gateway)} has a listener without TLS"
            if listener.get("allowedRoutes", {}).get("namespaces", {}).get("from") != "Same":
                yield f"{name_of(gateway)} accepts routes of other namespaces"
        if "RETRIEVAL_TOKEN_FILE" not in rendered.settings():
            yield f"{name_of(gateway)} leads to servers that ask for no token"
    backends = {
        backend["name"]
        for route in rendered.of_kind("GRPCRoute")
        for rule in route["spec"]["rules"]
        for backend in rule.get("backendRefs", ())
    }
    for backend in sorted(backends):
        yield from _backend_findings(rendered, backend)


def _backend_findings(rendered: Manifests, backend: str) -> Iterator[str]:
    """The gateway verifies the certificate that the servers of a Service show."""
    policies = [
        each
        for each in rendered.of_kind("BackendTLSPolicy")
        if any(_is_service(target, backend) for target in each["spec"]["targetRefs"])
    ]
    if not policies:
        yield f"GRPCRoute: {backend} is called without TLS: no BackendTLSPolicy has it as target"
    certificate = rendered.find("Certificate", backend) or {"spec": {}}
    for policy in policies:
        validation = policy["spec"]["validation"]
        if validation["hostname"] not in certificate["spec"].get("dnsNames", ()):
            yield (
                f"{name_of(policy)} expects {validation['hostname']}, which the certificate of "
                f"{backend} does not have"
            )
        for reference in validation["caCertificateRefs"]:
            secret = certificate["spec"].get("secretName")
            if (reference["kind"], reference["name"]) != ("Secret", secret):
                yield (
                    f"{name_of(policy)} trusts {reference['kind']}/{reference['name']}, not the "
                    f"authority in Secret/{secret}"
                )


def _is_service(target: Object, name: str) -> bool:
    return (target["kind"], target["name"]) == ("Service", name)
