"""Policy 14, on traces: both servers send their parts of one trace to one collector."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from deploy.policies.rendering import Manifests
from deploy.policies.traffic import COLLECTOR, Peer, by_name, lets_through
from deploy.policies.workloads import SERVERS

# docs/user_guide/trace.md of Triton; its sampler and its address are not among them
OF_TRITON = {
    "OTEL_RESOURCE_ATTRIBUTES",
    *(f"OTEL_BSP_{each}" for each in ("MAX_QUEUE_SIZE", "SCHEDULE_DELAY", "MAX_EXPORT_BATCH_SIZE")),
}
OF_THE_SERVER = OF_TRITON | {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}
READ_BY = {"triton": OF_TRITON, "retrieval": OF_THE_SERVER}
SAMPLERS = {"always_on", "always_off", "traceidratio"}
SAMPLERS |= {f"parentbased_{each}" for each in SAMPLERS}
# OTLP's registered ports and its path: the server speaks gRPC, Triton nothing but HTTP.
TAKEN_AT = {"retrieval": (4317, ""), "triton": (4318, "/v1/traces")}
TRACE_SETTINGS = {"mode", "level", "rate", "count", "opentelemetry,url", "opentelemetry,resource"}
TRACE_SETTINGS |= {f"opentelemetry,{each[5:].lower()}" for each in OF_TRITON if "BSP" in each}


def traced(rendered: Manifests) -> Iterator[str]:
    """14, on traces: both servers send them or none, to one collector, which they can reach."""
    yield from _variable_findings(rendered)
    yield from (
        f"Deployment/triton has the trace setting {name}, which Triton does not have"
        for name, _ in _trace_settings(rendered)
        if name not in TRACE_SETTINGS
    )
    endpoints = {
        "triton": _endpoint_of_triton(rendered),
        "retrieval": _endpoint_of_server(rendered),
    }
    sending = {name: url for name, url in endpoints.items() if url}
    silent = [name for name in endpoints if name not in sending]
    if len(silent) == 1:
        yield f"Deployment/{silent[0]} sends no traces, and the other server does"
    if silent:
        return
    for name, url in sending.items():
        yield from (
            f"Deployment/{name} {words}" for words in _endpoint_findings(rendered, name, url)
        )
    if len({urlsplit(url).hostname for url in sending.values()}) > 1:
        yield "Deployment/triton sends its traces to another collector than the retrieval server"
    yield from _sampling_findings(rendered)
    yield from _name_findings(rendered)


def _variable_findings(rendered: Manifests) -> Iterator[str]:
    """Variables of OpenTelemetry that no server reads."""
    held = {name: rendered.environment_of(rendered.pods(name)[0].main) for name in SERVERS}
    for variable in sorted({each for env in held.values() for each in env}):
        holders = [name for name in SERVERS if variable in held[name]]
        if variable.startswith("OTEL_") and not any(variable in READ_BY[each] for each in holders):
            yield from (
                f"Deployment/{each} sets {variable}, which no server reads" for each in holders
            )


def _trace_settings(rendered: Manifests) -> list[tuple[str, str]]:
    """The settings of ``--trace-config``: names, such as ``opentelemetry,url``, and values."""
    (triton,) = rendered.pods("triton")
    env = rendered.environment_of(triton.main)
    given = [each.partition("=") for each in triton.main["args"]]
    settings = [value.partition("=") for option, _, value in given if option == "--trace-config"]
    return [
        (name, re.sub(r"\$\((\w+)\)", lambda found: env.get(found[1], ""), value))
        for name, _, value in settings
    ]


def _endpoint_of_triton(rendered: Manifests) -> str | None:
    """Where Triton sends its traces; None if it sends none."""
    settings = dict(_trace_settings(rendered))
    is_on = (settings.get("mode"), settings.get("level")) == ("opentelemetry", "TIMESTAMPS")
    return settings.get("opentelemetry,url") if is_on else None


def _endpoint_of_server(rendered: Manifests) -> str | None:
    """Where the server sends its traces; None if it sends none."""
    env = rendered.environment_of(rendered.pods("retrieval")[0].main)
    url = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)


def _endpoint_findings(rendered: Manifests, name: str, url: str) -> Iterator[str]:
    """Whether an address has the server's protocol, and whether the server may reach it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or (parts.port, parts.path) != TAKEN_AT[name]:
        yield f"sends its traces to {url}, which does not have the port and path of its protocol"
    (pods,) = rendered.pods(name)
    _, _, namespace = (parts.hostname or "").partition(".")
    collector = Peer("collector", COLLECTOR, by_name(namespace.partition(".")[0]))
    policies = rendered.of_kind("NetworkPolicy")
    own = Peer(name, pods.labels, None, pods)
    if not lets_through(policies, "Egress", own, collector, f"{parts.port}/TCP"):
        yield f"sends its traces to {url}, which no NetworkPolicy opens"


def _sampling_findings(rendered: Manifests) -> Iterator[str]:
    """The server chooses what is traced; Triton follows, and starts no traces itself."""
    env = rendered.environment_of(rendered.pods("retrieval")[0].main)
    sampler = env.get("OTEL_TRACES_SAMPLER", "not said")
    if sampler not in SAMPLERS:
        yield f"Deployment/retrieval has the unknown sampler {sampler!r}"
    try:
        is_ratio = 0 <= float(env.get("OTEL_TRACES_SAMPLER_ARG", "none")) <= 1
    except ValueError:
        is_ratio = False
    if sampler.endswith("ratio") and not is_ratio:
        yield "Deployment/retrieval has an OTEL_TRACES_SAMPLER_ARG that is not from 0 to 1"
    rate = dict(_trace_settings(rendered)).get("rate", "1000")  # Triton's default
    if rate != "0":
        yield f"Deployment/triton starts traces itself, one in {rate} requests"


def _name_findings(rendered: Manifests) -> Iterator[str]:
    """Each server has a name of its own in the traces."""
    env = rendered.environment_of(rendered.pods("retrieval")[0].main)
    named = [value for name, value in _trace_settings(rendered) if name.endswith(",resource")]
    names = {each.removeprefix("service.name=") for each in named if "service.name=" in each}
    if not names or env.get("OTEL_SERVICE_NAME") in names:
        yield "Deployment/triton has no service.name of its own"
    if "service.name=" in env.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        yield (
            "Deployment/retrieval sets service.name in OTEL_RESOURCE_ATTRIBUTES, which "
            "Triton reads too"
        )
