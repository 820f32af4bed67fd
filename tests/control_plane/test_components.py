"""The guide's commands take components in and out, and touch nothing else."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from tests.control_plane.conftest import NewOverlay
from tests.support.control_plane.guide import Operator, commands_of
from tests.support.patience import eventually

pytestmark = pytest.mark.control_plane

BEFORE = ("web", "monitoring", "tls", "tracing")
CERTIFIED = ("triton-tls", "triton-client-tls", "authority-tls")
OURS = "app.kubernetes.io/part-of=beauty-retrieval"
KINDS = (
    "deployments.apps,jobs.batch,cronjobs.batch,services,configmaps,secrets,serviceaccounts,"
    "persistentvolumeclaims,networkpolicies.networking.k8s.io,poddisruptionbudgets.policy,"
    "horizontalpodautoscalers.autoscaling,certificates.cert-manager.io,issuers.cert-manager.io,"
    "scaledobjects.keda.sh,podmonitors.monitoring.coreos.com,"
    "prometheusrules.monitoring.coreos.com"
)
DELETE_JOBS, APPLY, LIST, DELETE = commands_of("Change the components")


def objects_of(operator: Operator, namespace: str, selector: str = OURS) -> dict[str, str]:
    """The UID of each object of ours in a namespace, by kind and name."""
    columns = "KIND:.kind,NAME:.metadata.name,UID:.metadata.uid"
    listed = operator.do(
        f"kubectl --namespace {namespace} get {KINDS} --selector '{selector}' "
        f"--no-headers --output custom-columns={columns}"
    )
    rows = [line.split() for line in listed.splitlines()]
    return {f"{kind}/{name}": uid for kind, name, uid in rows}


def without_hashes(objects: Iterable[str]) -> set[str]:
    """The objects, those that Kustomize names by their content without their hash."""
    return {re.sub(r"^(ConfigMap/.*)-[a-z0-9]{10}$", r"\1", each) for each in objects}


def certify(operator: Operator) -> None:
    """Create the Secrets that cert-manager would create."""
    for name in CERTIFIED:
        operator.do(f"kubectl -n beauty-retrieval create secret generic {name} --from-literal=a=b")
        operator.do(f"kubectl -n beauty-retrieval label secret {name} {OURS}")


def test_components_leave_nothing_behind(operator: Operator, new_overlay: NewOverlay) -> None:
    """``keda`` comes; two other components go after it, with all that they had."""
    before, with_keda = new_overlay("gpu-prod", BEFORE), new_overlay("gpu-prod", (*BEFORE, "keda"))
    after = new_overlay("gpu-prod", ("tracing", "keda"))
    neighbour = f"{operator.namespace}-2"
    other = new_overlay("cpu-dev", ("tls",), namespace=neighbour)
    operator.do(APPLY, other)
    operator.do(APPLY, before)
    certify(operator)
    operator.do("kubectl -n beauty-retrieval create secret generic theirs --from-literal=a=b")
    theirs = objects_of(operator, operator.namespace, f"!{OURS.partition('=')[0]}")
    beside = objects_of(operator, neighbour)
    assert operator.run(LIST, before).returncode == 0

    assert operator.run(LIST, with_keda).stdout.splitlines()[-3:] == [
        "horizontalpodautoscalers.autoscaling/retrieval: left over",
        "horizontalpodautoscalers.autoscaling/triton: left over",
        f"0 deleted, 2 left over in namespace {operator.namespace}",
    ]
    replicas = "kubectl -n beauty-retrieval get deployments --output jsonpath={..spec.replicas}"
    eventually(lambda: operator.do(replicas) == "2 2 2")  # the controller of autoscalers
    operator.do(DELETE, with_keda)
    operator.do(DELETE_JOBS)
    operator.do(APPLY, with_keda)
    assert operator.do(replicas) == "2 2 2"
    operator.do(LIST, with_keda)

    for command in (DELETE_JOBS, APPLY):
        operator.do(command, after)
    listed = operator.run(LIST, after)
    assert listed.returncode == 1
    assert "deployments.apps/web: left over\n" in listed.stdout
    assert "secrets/triton-tls: left over\n" in listed.stdout
    deleted = operator.do(DELETE, after).replace("deleted", "left over")
    assert deleted.splitlines()[:-1] == listed.stdout.splitlines()[:-1]
    operator.do(LIST, after)

    remaining = objects_of(operator, operator.namespace)
    fresh = f"{operator.namespace}-3"
    operator.do(APPLY, new_overlay("gpu-prod", ("tracing", "keda"), namespace=fresh))
    assert without_hashes(remaining) == without_hashes(objects_of(operator, fresh))
    assert beside == objects_of(operator, neighbour)
    still = objects_of(operator, operator.namespace, f"!{OURS.partition('=')[0]}")
    assert theirs.items() - still.items() <= {(k, v) for k, v in theirs.items() if "web" in k}


def test_jobs_that_change_have_to_be_deleted_first(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    operator.do(APPLY, new_overlay("gpu-prod", ("tls",)))
    refused = operator.run(APPLY, new_overlay("gpu-prod"))
    assert refused.returncode == 1
    assert "field is immutable" in refused.stderr


def test_leftovers_are_found_while_another_api_is_down(
    operator: Operator, new_overlay: NewOverlay, request: pytest.FixtureRequest
) -> None:
    """As where metrics-server does not run. An object that has to wait is not called deleted."""
    operator.do(APPLY, new_overlay("gpu-prod", ("keda",)))
    after = new_overlay("gpu-prod")
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    service: dict[str, Any] = {"name": "metrics-server", "namespace": "kube-system"}
    spec = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": service,
    }
    name = "v1beta1.metrics.k8s.io"
    operator.plane.request(path, "POST", {"metadata": {"name": name}, "spec": spec})
    request.addfinalizer(lambda: operator.plane.request(f"{path}/{name}", "DELETE"))
    eventually(lambda: operator.run("kubectl api-resources").returncode == 1)

    patch = """'{"metadata": {"finalizers": ["example.com/held"]}}'"""
    scaled = "kubectl -n beauty-retrieval patch scaledobject/triton --type merge --patch"
    operator.do(f"{scaled} {patch}")
    assert operator.run(DELETE, after).stdout.splitlines() == [
        "scaledobjects.keda.sh/retrieval: deleted",
        "scaledobjects.keda.sh/triton: being deleted",
        f"1 deleted, 1 left over in namespace {operator.namespace}",
    ]
    operator.do(f"""{scaled} '{{"metadata": {{"finalizers": null}}}}'""")
    operator.do(LIST, after)


def test_who_may_not_list_a_kind_is_told_so_in_one_line(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    overlay = new_overlay("gpu-prod")
    operator.do(APPLY, overlay)
    config = yaml.safe_load(operator.plane.kubeconfig.read_text())
    config["users"][0]["user"]["as"] = "reader"
    limited = operator.folder / "kubeconfig"
    limited.write_text(yaml.safe_dump(config))
    reader = (
        "kubectl -n beauty-retrieval create rolebinding reader --clusterrole=view --user=reader"
    )
    operator.do(reader)

    eventually(
        lambda: operator.run(f"KUBECONFIG={limited} {LIST}", overlay).stderr.startswith(
            f"error: kubectl --namespace {operator.namespace} get failed: Error from server "
            '(Forbidden): secrets is forbidden: User "reader" cannot list resource "secrets" in '
        )
    )
    refused = operator.run(f"KUBECONFIG={limited} {LIST}", overlay)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


def test_kubectls_own_prune_deletes_the_configmaps_of_a_revision(
    operator: Operator, new_overlay: NewOverlay
) -> None:
    """So the guide does not recommend it."""
    operator.do(APPLY, new_overlay("gpu-prod"))
    after = new_overlay("gpu-prod", settings={"retrieval": "RETRIEVAL_DRAIN_S=21"})
    operator.do(APPLY, after)
    pruned = operator.do(
        f"{APPLY} -n beauty-retrieval --prune --selector {OURS} "
        "--prune-allowlist core/v1/ConfigMap --dry-run=server",
        after,
    )
    assert [line for line in pruned.splitlines() if " pruned " in line and "/retrieval-" in line]
    operator.do(LIST, after)
