"""The sixteen points that every rendering has to meet: thirteen to fifteen, and all of them.

See ``workloads``.
"""

import re
from collections.abc import Callable, Iterator

from deploy.policies import security, workloads
from deploy.policies.references import references_that_resolve
from deploy.policies.rendering.objects import Manifests, Object
from deploy.policies.rendering.quantities import flag, number
from deploy.policies.settings import what_stands_twice_is_the_same
from deploy.policies.tracing import traced
from deploy.policies.traffic import selects
from deploy.policies.workloads import READY_SERVICE, SERVERS, settings_of

LONGEST_AGE_S = 900  # until every client knows of a new pod
BAD_INPUT = 65  # EX_DATAERR, what our commands end with where a retry would not help
JOBS = {
    "Job/extract-descriptors",
    "Job/merge-index",
    "Job/smoke-test",
    "CronJob/rebuild-index",
}
SCHEDULE = re.compile(  # minute, hour, day, month, weekday; steps and lists we do not use
    r"([0-5]?\d) ([01]?\d|2[0-3]) (\*|[12]?\d|3[01]) (\*|[1-9]|1[0-2]) (\*|[0-6])"
)
RECORDED = re.compile(r"\bbeauty(?::\w+)+")
RUNBOOKS = "deploy/README.md"


def balanced_connections(rendered: Manifests) -> Iterator[str]:
    """13: clients see every pod, and look again; ports say what is spoken on them."""
    for name in SERVERS:
        service = rendered.get(f"Service/{name}")["spec"]
        if service.get("clusterIP") != "None":
            yield f"Service/{name} pins each client to one pod: it is not headless"
        for port in service["ports"]:
            if not port.get("name") or isinstance(port.get("targetPort"), int):
                yield f"Service/{name} gives numbers to ports instead of names"
            spoken = "https" if speaks_tls(rendered, name) else "kubernetes.io/h2c"
            if port.get("appProtocol") != spoken:
                yield f"Service/{name}, port {port.get('name')}, has not the appProtocol {spoken}"
    for service in rendered.of_kind("Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"Service/{service['metadata']['name']} is open outside of the cluster"
    (triton,) = rendered.pods("triton")
    ages = {
        "triton": number(flag(triton.main["args"], "--grpc-max-connection-age")) / 1000,
        "retrieval": number(rendered.settings().get("RETRIEVAL_MAX_CONNECTION_AGE_S")),
    }
    for name, age in ages.items():
        if not 0 < age <= LONGEST_AGE_S:
            yield f"Deployment/{name} keeps connections for {age} s: new pods get no traffic"
    for route in rendered.of_kind("GRPCRoute"):
        methods = [
            match.get("method", {})
            for rule in route["spec"]["rules"]
            for match in rule.get("matches") or [{}]
        ]
        services = {method.get("service", "everything") for method in methods}
        if not services <= {READY_SERVICE, "grpc.health.v1.Health"}:
            yield f"GRPCRoute/{route['metadata']['name']} lets {sorted(services)} in from outside"


def speaks_tls(rendered: Manifests, name: str) -> bool:
    if name == "retrieval":
        return "RETRIEVAL_TLS_CERT" in rendered.settings()
    return flag(rendered.pods(name)[0].main["args"], "--grpc-use-ssl-mutual") == "true"


def watched(rendered: Manifests) -> Iterator[str]:
    """14: every exporter is scraped; every alert says how bad, what, and what to do; traces."""
    yield from traced(rendered)
    monitors = rendered.of_kind("PodMonitor")
    if not monitors and not rules(rendered):
        return
    for pods in rendered.pods():
        ports = {port["name"] for each in pods.containers for port in each.get("ports", ())}
        scraped = {
            endpoint["port"]
            for monitor in monitors
            if selects(monitor["spec"]["selector"], pods.labels)
            for endpoint in monitor["spec"]["podMetricsEndpoints"]
        }
        if "metrics" in ports and "metrics" not in scraped:
            yield f"{pods.owner} is not scraped"
    dashboards = [each["metadata"].get("labels", {}) for each in rendered.of_kind("ConfigMap")]
    if not any(labels.get("grafana_dashboard") for labels in dashboards):
        yield "ConfigMap/beauty-retrieval-dashboard is missing"
    recorded = {rule["record"] for rule in rules(rendered) if "record" in rule}
    asked = {each for rule in rules(rendered) for each in RECORDED.findall(rule["expr"])}
    yield from (f"PrometheusRule: nobody records {each}" for each in sorted(asked - recorded))
    alerts = [rule for rule in rules(rendered) if "alert" in rule]
    if len(alerts) < len(ALERTED):
        yield f"PrometheusRule: {len(alerts)} alerts"
    for topic, pattern in ALERTED.items():
        if not any(re.search(pattern, rule["expr"]) for rule in alerts):
            yield f"PrometheusRule: no alert looks at {topic}"
    for rule in alerts:
        name = f"PrometheusRule, alert {rule['alert']},"
        if rule.get("labels", {}).get("severity") not in {"critical", "warning"}:
            yield f"{name} has no severity"
        if not rule.get("annotations", {}).get("summary"):
            yield f"{name} has no summary"
        anchor = f"{RUNBOOKS}#{rule['alert'].lower()}"
        if rule.get("annotations", {}).get("runbook_url") != anchor:
            yield f"{name} has no runbook"


ALERTED = {
    "readiness": r"beauty_ready\b.*== 0",
    "absence": r"absent\(",
    "errors": r"searches_failed:ratio",
    "the queue": r"queue_seconds",
    "the 99th percentile": r"p99",
    "the age of the index": r"index_age_seconds",
    "restarts": r"container_status_restarts_total",
    "the autoscaler's limit": r"horizontalpodautoscaler_spec_max_replicas",
}


def rules(rendered: Manifests) -> list[Object]:
    """All rules, recording and alerting."""
    return [
        rule
        for each in rendered.of_kind("PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]


def jobs_that_end(rendered: Manifests) -> Iterator[str]:
    """15: shards fail alone, bad input is not tried again, no job runs for ever or twice."""
    jobs = {f"Job/{each['metadata']['name']}": each["spec"] for each in rendered.of_kind("Job")}
    crons = rendered.of_kind("CronJob")
    for each in crons:
        name, spec = f"CronJob/{each['metadata']['name']}", each["spec"]
        jobs[name] = spec["jobTemplate"]["spec"]
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{name} may run beside itself"
        if not spec.get("startingDeadlineSeconds") or not spec.get("timeZone"):
            yield f"{name} does not say until when, and where, its schedule holds"
        if not SCHEDULE.fullmatch(spec["schedule"]):
            yield f"{name} has no schedule but {spec['schedule']!r}"
    for name, spec in jobs.items():
        yield from job_findings(name, spec)
        if spec.get("completionMode") == "Indexed":
            shards = settings_of(rendered, spec["template"]["spec"]["containers"][0]).get("SHARDS")
            if shards != str(spec["completions"]):
                yield f"{name} has {spec['completions']} indexes for {shards} shards"
    yield from (f"{name} is missing" for name in sorted(JOBS - set(jobs)))
    smoke = rendered.pods("smoke-test")
    for option in ("--server", "--catalogue") if smoke else ():
        if not flag(smoke[0].main.get("args", ()), option):
            yield f"Job/smoke-test has no {option}"
    if jobs.get("Job/extract-descriptors", {}).get("completionMode") != "Indexed":
        yield "Job/extract-descriptors is not indexed"


def job_findings(name: str, spec: Object) -> Iterator[str]:
    pod = spec["template"]["spec"]
    if pod.get("restartPolicy") != "Never":
        yield f"{name} restarts containers, which hides failures from its policy"
    for field, lack in (
        ("activeDeadlineSeconds", "may run for ever"),
        ("ttlSecondsAfterFinished", "stays for ever"),
    ):
        if not spec.get(field):
            yield f"{name} {lack}"
    if spec.get("podReplacementPolicy") != "Failed":
        yield f"{name} starts a second pod while the first one still ends"
    is_indexed = spec.get("completionMode") == "Indexed"
    actions = failure_actions(spec)
    if actions.get("DisruptionTarget") != "Ignore":
        yield f"{name} counts an evicted pod as a failure"
    if actions.get("bad input") != ("FailIndex" if is_indexed else "FailJob"):
        yield f"{name} tries bad input again and again"
    if is_indexed:
        if "backoffLimitPerIndex" not in spec or spec.get("maxFailedIndexes") == 0:
            yield f"{name}: one bad shard fails all"
    elif "backoffLimit" not in spec:
        yield f"{name} has no backoffLimit"


def failure_actions(spec: Object) -> dict[str, str]:
    """What a job does about evictions and about bad input."""
    actions = {}
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for condition in rule.get("onPodConditions", ()):
            actions[condition["type"]] = rule["action"]
        if BAD_INPUT in rule.get("onExitCodes", {}).get("values", ()):
            actions["bad input"] = rule["action"]
    return actions


Policy = Callable[[Manifests], Iterator[str]]
POLICIES: dict[int, Policy] = {
    1: workloads.separate_stateless_workloads,
    2: workloads.probes_that_tell_apart,
    3: workloads.ends_within_its_grace,
    4: workloads.rollouts_that_end,
    5: workloads.one_autoscaler_each,
    6: workloads.spread_and_protected,
    7: workloads.bounded_resources,
    8: workloads.models_that_stay_what_they_are,
    9: security.restricted_pods,
    10: security.traffic_as_expected,
    11: security.locked_triton,
    12: security.pinned_images_and_no_secrets,
    13: balanced_connections,
    14: watched,
    15: jobs_that_end,
    16: what_stands_twice_is_the_same,
}


def findings(rendered: Manifests) -> list[str]:
    """Everything that is wrong with a rendering, each with the number of its point."""
    points = {str(number): point for number, point in POLICIES.items()}
    points["references"] = references_that_resolve
    return [
        f"{name}: {words}" for name, point in points.items() for words in judged(point, rendered)
    ]


def judged(point: Policy, rendered: Manifests) -> list[str]:
    """What a point finds; that it cannot tell, where a part is missing that it needs."""
    try:
        return list(point(rendered))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return [f"cannot be told, as something is missing or of another kind: {error!r}"]
