"""The API server takes every object of every overlay with every set of components."""

import json
from pathlib import Path

import pytest
import yaml

from deploy.policies.rendering import Object, all_combinations, render_all
from tests.support.control_plane.guide import Operator
from tests.support.control_plane.overlays import Older
from tests.support.control_plane.running import ControlPlane

pytestmark = pytest.mark.control_plane

UNKNOWN = {
    "CronJob.spec.jobTemplate.spec.podFailurePolicy",
    "CronJob.spec.jobTemplate.spec.podReplacementPolicy",
    "CronJob.spec.timeZone",
    "Deployment.spec.template.spec.containers.lifecycle.preStop.sleep",
    "Deployment.spec.template.spec.containers.livenessProbe.grpc",
    "Deployment.spec.template.spec.containers.readinessProbe.grpc",
    "Deployment.spec.template.spec.containers.startupProbe.grpc",
    "Deployment.spec.template.spec.topologySpreadConstraints.matchLabelKeys",
    "Deployment.spec.template.spec.volumes.image",
    "Job.spec.backoffLimitPerIndex",
    "Job.spec.completionMode",
    "Job.spec.podFailurePolicy",
    "Job.spec.podReplacementPolicy",
    "PodDisruptionBudget.spec.unhealthyPodEvictionPolicy",
}


def test_every_object_of_every_rendering_is_accepted(
    plane: ControlPlane, tmp_path: Path, packaged_kubectl: Path
) -> None:
    """Less the fields of ``UNKNOWN``, which came after this version of Kubernetes."""
    older = Older(plane.request("/openapi/v2"))
    once: dict[str, Object] = {}
    for rendered in render_all(all_combinations()):
        for each in rendered.objects:
            once.setdefault(json.dumps(each), each)
    (namespace,) = {
        each["metadata"]["namespace"] for each in once.values() if each["kind"] == "Job"
    }
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(map(older.older, once.values())))
    operator = Operator(plane, tmp_path, packaged_kubectl, namespace)
    operator.run(f"kubectl create namespace {namespace}")

    taken = operator.run("kubectl create --dry-run=server --validate=strict --filename all.yaml")
    refused = [line for line in taken.stderr.splitlines() if "AlreadyExists" not in line]
    assert refused == []
    assert len(taken.stdout.splitlines()) >= len(once) - 2
    assert older.dropped == UNKNOWN
