"""Rules, dashboard and autoscalers name metrics that the real server and a real Triton have."""

import io
import json
import re
import urllib.request
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import promql_parser as promql
import pytest
from conftest import tiny_picture
from local_triton import LocalTriton, eventually
from prometheus_client.parser import text_string_to_metric_families
from served import PATIENCE_S, ServedBy

from deploy.policies.rendering.objects import DEPLOY, Manifests, manifests
from deploy.policies.services import rules
from retrieval_server.v1 import retrieval_pb2 as pb

# kube-state-metrics 2.17, docs/metrics/workload: what we read, with its labels
KUBE_STATE = {
    "kube_job_status_failed": {"namespace", "job_name", "reason"},
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container", "uid"},
    "kube_horizontalpodautoscaler_status_current_replicas": {
        "namespace",
        "horizontalpodautoscaler",
    },
    "kube_horizontalpodautoscaler_spec_max_replicas": {"namespace", "horizontalpodautoscaler"},
}
OF_THE_SCRAPE = {"namespace", "pod", "container", "job", "instance", "le"}
VARIABLES = {"$__rate_interval": "5m", "$namespace": "beauty-retrieval"}
STATUSES = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"}  # fmt: skip
Labels = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def rendered() -> Manifests:
    return manifests("cpu-dev", ("monitoring", "keda"))


@pytest.fixture(scope="module")
def exported(served_by: ServedBy, triton: LocalTriton) -> Labels:
    """By metric the labels that it has, with the values seen: ours, Triton's, the cluster's."""
    found: Labels = defaultdict(lambda: defaultdict(set))
    for name, labels in KUBE_STATE.items():
        found[name].update({label: set() for label in labels})
    with served_by(metrics_port=0) as server:
        picture = io.BytesIO()
        tiny_picture(0, 0, 0).save(picture, "PNG")
        server.stub.Search(pb.SearchRequest(image=picture.getvalue()), timeout=PATIENCE_S)
        add_scraped(found, server.running.metrics_address)
    triton.infer("tiny", np.zeros((1, 32, 32, 3), np.uint8))
    eventually(lambda: "nv_inference_count{" in text_of(triton.addresses["metrics"]), PATIENCE_S)
    add_scraped(found, triton.addresses["metrics"])
    return found


def text_of(address: str | None) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def add_scraped(found: Labels, address: str | None) -> None:
    for family in text_string_to_metric_families(text_of(address)):
        for sample in family.samples:
            name = sample.name
            if name.startswith("nv_"):  # the parser gives Triton's counters an ending
                name = name.removesuffix("_total")
            for label, value in (sample.labels or {"": ""}).items():
                found[name][label].add(value)


def queries_of_rules(rendered: Manifests) -> Iterator[tuple[str, str]]:
    for rule in rules(rendered):
        yield rule.get("alert", rule.get("record")), rule["expr"]
    for scaler in rendered.of_kind("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            yield scaler["metadata"]["name"], trigger["metadata"]["query"]


def queries_of_dashboard(rendered: Manifests) -> Iterator[tuple[str, str]]:
    (config,) = (
        each
        for each in rendered.of_kind("ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    )
    (content,) = config["data"].values()
    for panel in json.loads(content)["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def selectors(expression: str) -> list[promql.VectorSelector]:
    """Every selector of an expression; a ValueError if it is no PromQL."""
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(expression), visit)
    return found


def grouped_by(expression: str) -> set[str]:
    return {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", expression)
        for label in labels.split(",")
    }


def recorded(rendered: Manifests) -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules(rendered) if "record" in rule}


@pytest.mark.parametrize("queries", [queries_of_rules, queries_of_dashboard])
def test_every_metric_and_label_that_is_asked_for_exists(
    queries, rendered: Manifests, exported: Labels
) -> None:
    asked = list(queries(rendered))

    assert len(asked) > 15
    for name, expression in asked:
        found = selectors(expression)
        assert found, name
        for selector in found:
            if selector.name in recorded(rendered):
                continue
            assert selector.name in exported, f"{name}: {selector.name}"
            labels = exported[selector.name]
            for matcher in selector.matchers.matchers:
                assert matcher.name in labels or matcher.name in OF_THE_SCRAPE, f"{name}: {matcher}"
                if matcher.name == "code":
                    assert set(matcher.value.split("|")) <= STATUSES, name
                elif matcher.name in labels and matcher.name != "namespace":
                    assert matcher.value in labels[matcher.name], f"{name}: {matcher}"
        known = OF_THE_SCRAPE.union(*(set(exported.get(each.name, ())) for each in found))
        for each in found:
            known |= grouped_by(recorded(rendered).get(each.name, ""))
        assert grouped_by(expression) <= known, name


def test_what_is_recorded_is_read(rendered: Manifests) -> None:
    read = {
        selector.name
        for queries in (queries_of_rules, queries_of_dashboard)
        for _, expression in queries(rendered)
        for selector in selectors(expression)
    }
    assert set(recorded(rendered)) <= read


def test_a_metric_that_nobody_exports_is_noticed(exported: Labels) -> None:
    (selector,) = selectors("rate(beauty_requests[5m])")  # without _total, as it is in the code

    assert selector.name not in exported
    with pytest.raises(ValueError, match="parenthesis"):
        selectors("sum(rate(beauty_requests_total[5m])")


def test_the_metric_of_production_s_autoscaler_exists(exported: Labels) -> None:
    scaler = manifests("gpu-prod").get("HorizontalPodAutoscaler/triton")

    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in exported


def test_every_alert_has_a_section_that_says_what_to_do(rendered: Manifests) -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (Beauty\w+)\n\n(.+)", text, re.MULTILINE))
    alerts = {rule["alert"] for rule in rules(rendered) if "alert" in rule}

    assert set(sections) == alerts
    assert all(len(first) > 80 for first in sections.values())


def test_the_dashboard_is_one_that_grafana_takes(rendered: Manifests) -> None:
    dashboard = json.loads((DEPLOY / "components/monitoring/dashboard.json").read_text())
    panels = dashboard["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
    assert {"uid", "title", "schemaVersion", "templating", "time"} <= set(dashboard)
    boxes = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells))  # nothing lies on top of another
    assert max(x for x, _ in cells) < 24
    assert all(
        panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels
    )
