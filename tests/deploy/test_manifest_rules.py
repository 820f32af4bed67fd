"""Rules, dashboard and autoscalers name metrics that the real server and a real Triton have."""

import io
import json
import urllib.request
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.policies.metrics import (
    KUBE_STATE,
    KUBELET,
    TRITON,
    Labels,
    autoscaler_metrics,
    documented,
    queries,
    query_findings,
    selectors,
)
from deploy.policies.monitoring import dashboards, rules, runbooks
from deploy.policies.rendering import DEPLOY, Manifests, manifests
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.local_triton import LocalTriton
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import ServedBy
from tests.support.tiny_world import tiny_picture


@pytest.fixture(scope="module")
def rendered() -> Manifests:
    return manifests("cpu-dev", ("monitoring", "keda"))


@pytest.fixture(scope="module")
def exported(served_by: ServedBy, certificates: Path, triton: LocalTriton) -> Labels:
    """By metric the labels that it has, with the values seen: ours, Triton's, the cluster's."""
    found: Labels = defaultdict(lambda: defaultdict(set))
    for name, names in {**KUBE_STATE, **KUBELET}.items():
        found[name].update(dict.fromkeys(names))  # the values are the cluster's
    with served_by(metrics_port=0) as server:
        picture = io.BytesIO()
        tiny_picture(0, 0, 0).save(picture, "PNG")
        server.stub.Search(pb.SearchRequest(image=picture.getvalue()), timeout=PATIENCE_S)
        add_scraped(found, server.running.metrics_address)
    pair = (certificates / "client.pem", certificates / "client.key")
    shown = dict(zip(("triton_tls_cert", "triton_tls_key"), pair, strict=True))
    with served_by(metrics_port=0, tls_cert=pair[0], tls_key=pair[1], **shown) as server:
        add_scraped(found, server.running.metrics_address)
    triton.infer("tiny", np.zeros((1, 32, 32, 3), np.uint8))
    eventually(lambda: "nv_inference_count{" in text_of(triton.addresses["metrics"]))
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


def test_every_metric_and_label_that_is_asked_for_exists(
    rendered: Manifests, exported: Labels
) -> None:
    asked = list(queries(rendered))

    assert len([name for name, _ in asked if "panel" in name]) > 15
    assert len([name for name, _ in asked if "panel" not in name]) > 15
    assert list(query_findings(rendered, exported)) == []


def test_the_metrics_of_the_policy_are_those_that_are_exported(exported: Labels) -> None:
    policy = documented(DEPLOY)
    missing = {
        (name, label)
        for name, labels in policy.items()
        for label in labels or ("",)
        if name in TRITON and label not in exported.get(name, {})
    }

    assert len(policy) > len(TRITON) + len(KUBE_STATE) + 20
    assert {name for name in exported if name.startswith("beauty_")} <= set(policy)
    assert missing == set()


def test_a_metric_that_nobody_exports_is_noticed(exported: Labels) -> None:
    (selector,) = selectors("rate(beauty_requests[5m])")  # without _total, as it is in the code

    assert selector.name not in exported
    with pytest.raises(ValueError, match="parenthesis"):
        selectors("sum(rate(beauty_requests_total[5m])")


def test_the_metric_of_production_s_autoscaler_exists(exported: Labels) -> None:
    (metric,) = autoscaler_metrics(manifests("gpu-prod"))

    assert metric in exported


def test_every_alert_has_a_section_and_the_dashboard_its_panels(rendered: Manifests) -> None:
    alerts = {rule["alert"] for rule in rules(rendered) if "alert" in rule}
    (dashboard,) = dashboards(rendered).values()

    assert set(runbooks(DEPLOY)) == alerts
    assert len(dashboard["panels"]) >= 12
    source = (DEPLOY / "components/monitoring/dashboard.json").read_text()
    assert dashboard == json.loads(source.replace("NAMESPACE", rendered.namespace))
