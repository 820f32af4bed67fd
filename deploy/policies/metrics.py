"""Policy 17, on metrics: what rules, dashboard and autoscalers ask for is exported.

The metrics of our server are those of ``deploy/METRICS.md``, which a test compares with a running
server; another one compares ``TRITON`` with a real Triton.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import promql_parser as promql

from deploy.policies.monitoring import dashboards, rules
from deploy.policies.rendering import Manifests, name_of

# Labels of a metric, and the values of each; None where any value is possible.
Labels = dict[str, dict[str, set[str] | None]]

TABLE = "METRICS.md"
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
OF_A_MODEL = ("model", "version")
TRITON = {  # docs/user_guide/metrics.md of Triton: what we read, with its labels
    "nv_inference_request_success": OF_A_MODEL,
    "nv_inference_request_failure": (*OF_A_MODEL, "reason"),
    "nv_inference_count": OF_A_MODEL,
    "nv_inference_exec_count": OF_A_MODEL,
    "nv_inference_queue_duration_us": OF_A_MODEL,
    "nv_inference_compute_infer_duration_us": OF_A_MODEL,
    "nv_inference_pending_request_count": OF_A_MODEL,
}
KUBE_STATE = {  # kube-state-metrics 2.17, docs/metrics/workload: what we read, with its labels
    "kube_job_failed": ("namespace", "job_name", "condition"),
    "kube_job_created": ("namespace", "job_name"),
    "kube_cronjob_status_last_successful_time": ("namespace", "cronjob"),
    "kube_pod_container_state_started": ("namespace", "pod", "container", "uid"),
    "kube_pod_container_status_restarts_total": ("namespace", "pod", "container", "uid"),
    "kube_deployment_status_replicas_unavailable": ("namespace", "deployment"),
    "kube_horizontalpodautoscaler_status_current_replicas": (
        "namespace",
        "horizontalpodautoscaler",
    ),
    "kube_horizontalpodautoscaler_spec_max_replicas": ("namespace", "horizontalpodautoscaler"),
}
OF_A_CLAIM = ("namespace", "persistentvolumeclaim")
KUBELET = {  # Kubernetes 1.36, metrics of the kubelet: what we read, with its labels
    "kubelet_volume_stats_available_bytes": OF_A_CLAIM,
    "kubelet_volume_stats_capacity_bytes": OF_A_CLAIM,
}
OF_THE_SCRAPE = {"namespace", "pod", "container", "job", "instance", "le"}
STATUSES = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"}  # fmt: skip


def metrics_that_exist(rendered: Manifests) -> Iterator[str]:
    """17: every metric and label that is asked for is exported, and what is recorded is read."""
    yield from query_findings(rendered, documented(rendered.deploy))
    for metric in autoscaler_metrics(rendered):
        if metric not in documented(rendered.deploy):
            yield f"HorizontalPodAutoscaler: scales by {metric}, which nobody exports"
    read = {
        selector.name
        for _, expression in queries(rendered)
        if not _is_broken(expression)
        for selector in selectors(expression)
    }
    for name in sorted(set(recorded(rendered)) - read):
        yield f"PrometheusRule: {name} is recorded, but no rule or panel reads it"


def query_findings(rendered: Manifests, exported: Labels) -> Iterator[str]:
    """What the queries of a rendering ask for and do not get.

    Args:
        rendered: with rules, dashboards and autoscalers.
        exported: by metric its labels, and by label its values.
    """
    known_records = recorded(rendered)
    for name, expression in queries(rendered):
        if _is_broken(expression):
            yield f"{name}: {expression!r} is not PromQL"
            continue
        found = selectors(expression)
        if not found:
            yield f"{name}: {expression!r} asks for no metric"
        for selector in found:
            if selector.name not in known_records:
                yield from (f"{name}: {words}" for words in _selector_findings(selector, exported))
        known = OF_THE_SCRAPE.union(*(set(exported.get(each.name or "", ())) for each in found))
        for each in found:
            known |= grouped_by(known_records.get(each.name or "", ""))
        for label in sorted(grouped_by(expression) - known):
            yield f"{name}: groups by {label}, a label that none of its metrics has"


def _selector_findings(selector: promql.VectorSelector, exported: Labels) -> Iterator[str]:
    metric = selector.name or ""
    if metric not in exported:
        yield f"asks for {metric}, which nobody exports and no rule records"
        return
    labels = exported[metric]
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels:
            if matcher.name not in OF_THE_SCRAPE:
                yield f"asks for the label {matcher.name}, which {metric} does not have"
        elif matcher.name != "namespace":
            values = STATUSES if matcher.name == "code" else labels[matcher.name]
            unknown = set() if values is None else set(matcher.value.split("|")) - values
            if unknown:
                yield f"{metric} has no {matcher.name} {', '.join(sorted(unknown))}"


def queries(rendered: Manifests) -> Iterator[tuple[str, str]]:
    """Every expression of PromQL, and the object that it is in."""
    for rule in rules(rendered):
        yield f"PrometheusRule, {rule.get('alert', rule.get('record'))}", rule["expr"]
    for scaler in rendered.of_kind("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            yield name_of(scaler), trigger["metadata"]["query"]
    variables = {"$__rate_interval": "5m", "$namespace": rendered.namespace}
    for name, dashboard in dashboards(rendered).items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for variable, value in variables.items():
                    expression = expression.replace(variable, value)
                yield f"{name}, panel {panel['title']!r}", expression


def autoscaler_metrics(rendered: Manifests) -> list[str]:
    """The metrics of pods that the HorizontalPodAutoscalers scale by."""
    return [
        metric["pods"]["metric"]["name"]
        for each in rendered.of_kind("HorizontalPodAutoscaler")
        for metric in each["spec"].get("metrics", ())
        if "pods" in metric
    ]


def recorded(rendered: Manifests) -> dict[str, str]:
    """The expressions of the recording rules, by the metric that they record."""
    return {rule["record"]: rule["expr"] for rule in rules(rendered) if "record" in rule}


@cache
def selectors(expression: str) -> list[promql.VectorSelector]:
    """Every selector of an expression.

    Raises:
        ValueError: if the expression is not PromQL.
    """
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(expression), visit)
    return found


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups by."""
    return {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", expression)
        for label in labels.split(",")
    }


@cache
def documented(deploy: Path) -> Labels:
    """The metrics of our server, as the table of a tree has them, of Triton and of the cluster."""
    text = (deploy / TABLE).read_text(encoding="utf-8")
    values = {
        label: set(re.findall(r"`(\w+)`", words))
        for label, words in re.findall(r"^- `(\w+)`: (.*)$", text, re.MULTILINE)
    }
    found: Labels = {
        name + suffix: {label: values.get(label) for label in re.findall(r"`(\w+)`", labels)}
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\|", text, re.M)
        for suffix in SUFFIXES[kind]
    }
    found |= {name: {} for name in re.findall(r"`((?:process|python)_\w+)`", text)}
    others = {**TRITON, **KUBE_STATE, **KUBELET}
    found |= {name: dict.fromkeys(labels) for name, labels in others.items()}
    return found


def _is_broken(expression: str) -> bool:
    try:
        selectors(expression)
    except ValueError:
        return True
    return False
