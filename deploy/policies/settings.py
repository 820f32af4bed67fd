"""Policy 16, on settings: ports, probes and addresses agree with what the servers are told."""

import typing
from collections.abc import Iterator
from functools import cache

from deploy.policies.probes import http_request
from deploy.policies.rendering import Manifests
from deploy.policies.rendering.quantities import flag
from deploy.policies.workloads import WRITER
from retrieval_server.serving.settings import Setting, Settings, environment_variable
from retrieval_server.stores.address import StoreAddress

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
PORTS = {
    "grpc": "RETRIEVAL_PORT",
    "health": "RETRIEVAL_HEALTH_PORT",
    "metrics": "RETRIEVAL_METRICS_PORT",
}


def consistent_settings(rendered: Manifests) -> Iterator[str]:
    """16: ports, probes, addresses, and the names and values of settings agree."""
    yield from _server_findings(rendered)
    yield from _triton_findings(rendered)
    yield from _setting_findings(rendered)


def _server_findings(rendered: Manifests) -> Iterator[str]:
    for pods in rendered.pods("retrieval", WRITER):
        settings = rendered.environment_of(pods.main)
        ports = {port["name"]: port["containerPort"] for port in pods.main.get("ports", ())}
        for port, variable in PORTS.items():
            if str(ports.get(port)) != settings.get(variable):
                yield f"{pods.owner}: port {port} is {ports.get(port)}, not {variable}"
        for probe in PROBES:
            asked = pods.main.get(probe, {}).get("grpc", {}).get("port")
            if asked != ports.get("health"):
                yield f"{pods.owner}: the {probe} asks port {asked}, not the port health"


def _triton_findings(rendered: Manifests) -> Iterator[str]:
    (triton,) = rendered.pods("triton")
    ports = {port["name"]: port["containerPort"] for port in triton.main["ports"]}
    for name in ("grpc", "http", "metrics"):
        if str(ports.get(name)) != flag(triton.main["args"], f"--{name}-port"):
            yield f"Deployment/triton: port {name} is not the value of --{name}-port"
    for probe in PROBES:
        if http_request(triton.main.get(probe, {}))[0] not in {"http", ports.get("http")}:
            yield f"Deployment/triton: the {probe} does not ask port http"


def _setting_findings(rendered: Manifests) -> Iterator[str]:
    (pods,) = rendered.pods("retrieval")
    settings = rendered.environment_of(pods.main)
    if settings.get("RETRIEVAL_HOST") != "0.0.0.0":  # noqa: S104 - the network policies say who may come in
        yield (
            "ConfigMap/retrieval: RETRIEVAL_HOST is not 0.0.0.0, so that no other pod "
            "reaches the server"
        )
    host, _, port = settings.get("RETRIEVAL_TRITON_URL", "").rpartition(":")
    service = rendered.find("Service", host)
    if service is None or port not in {str(each["port"]) for each in service["spec"]["ports"]}:
        yield f"ConfigMap/retrieval: RETRIEVAL_TRITON_URL is {host}:{port}, which no Service has"
    if settings.get("RETRIEVAL_ENGINE") != "triton":
        yield "ConfigMap/retrieval: RETRIEVAL_ENGINE is not triton"
    source = "RETRIEVAL_STORE" if rendered.has_store else "RETRIEVAL_INDEX"
    for variable in (source, "RETRIEVAL_MODEL_REPOSITORY"):
        if variable not in settings:
            yield f"Deployment/retrieval does not set {variable}"
    if {"RETRIEVAL_STORE", "RETRIEVAL_INDEX"} <= set(settings):
        yield "Deployment/retrieval sets RETRIEVAL_STORE and RETRIEVAL_INDEX; the server takes one"
    for variable, value in settings.items():
        if not variable.startswith("RETRIEVAL_"):
            continue
        if variable not in known_settings():
            yield f"Deployment/retrieval sets {variable}, which the server does not know"
        elif not is_understood(variable, value):
            yield f"Deployment/retrieval sets {variable} to {value!r}, which the server refuses"


@cache
def known_settings() -> dict[str, tuple[type, Setting]]:
    """Every environment variable that ``beauty-server`` reads: its type, and its bounds."""
    found = {}
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items():
        kind, setting = typing.get_args(hint)
        alternatives = typing.get_args(kind) or (kind,)
        found[environment_variable(name)] = (alternatives[0], setting)
    return found


def is_understood(variable: str, value: str) -> bool:
    """Whether the server can read a setting's value."""
    kind, setting = known_settings()[variable]
    if variable == "RETRIEVAL_STORE":
        return is_store(value)
    if kind not in {int, float}:
        return True
    try:
        number = kind(value)
    except ValueError:
        return False
    low = -float("inf") if setting.min is None else setting.min
    high = float("inf") if setting.max is None else setting.max
    return bool(low <= number <= high)


def is_store(value: str) -> bool:
    """Whether a value is the address of a store that pods of several nodes can use."""
    try:
        return not StoreAddress.of(value).is_lite
    except ValueError:
        return False
