"""What an earlier form of an overlay left in the cluster; kubectl is real, the cluster is not.

tests/control_plane runs the same on a real API server.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.leftovers import leftovers, main
from deploy.policies.rendering import Object, manifests
from tests.support.deploy.api_server import Cluster, api_server

OVERLAY = "gpu-prod"
BEFORE = ("monitoring", "tls")  # that the overlay had; keda comes instead of both
CERTIFIED = ("triton-tls", "triton-client-tls", "authority-tls")


def copied_overlay(folder: Path, *parts: str) -> Path:
    """An overlay of a user, beside the tree, with some components."""
    tree = os.path.relpath(Path(__file__).parents[2] / "deploy", folder)
    kustomization = {
        "namespace": "beauty-retrieval",
        "resources": [f"{tree}/overlays/{OVERLAY}"],
        "components": [f"{tree}/components/{part}" for part in parts],
        "transformers": [f"{tree}/transformers"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def an_object(api: str, kind: str, name: str, is_ours: bool = True, **more: object) -> Object:
    labels = {"app.kubernetes.io/part-of": "beauty-retrieval"} if is_ours else {}
    metadata = {"name": name, "namespace": "beauty-retrieval", "labels": labels}
    metadata |= more.pop("metadata", {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}


def reading(config: str) -> Object:
    """The specification of a workload that reads a ConfigMap."""
    container = {"envFrom": [{"configMapRef": {"name": config}}]}
    return {"template": {"spec": {"containers": [container]}}}


@pytest.fixture
def cluster() -> Cluster:
    """What ``BEFORE`` made, what controllers made of it, and what others have there."""
    owned = {"ownerReferences": [{"kind": "Deployment", "name": "retrieval"}]}
    return Cluster(
        [
            *manifests(OVERLAY, BEFORE).objects,
            *(an_object("v1", "Secret", name) for name in CERTIFIED),
            an_object("v1", "Secret", "retrieval-tokens", is_ours=False),
            an_object("v1", "ConfigMap", "retrieval-0123456789"),  # of a revision
            an_object("v1", "ConfigMap", "index-build-0123456789"),  # of a job
            an_object("v1", "ConfigMap", "retrieval-9876543210"),  # of none
            an_object("apps/v1", "ReplicaSet", "retrieval-1", metadata=owned,
                      spec=reading("retrieval-0123456789")),
            an_object("batch/v1", "Job", "rebuild-index-1", metadata=owned,
                      spec=reading("index-build-0123456789")),
            an_object("v1", "PersistentVolumeClaim", "old-index"),
            an_object("networking.k8s.io/v1", "NetworkPolicy", "held",
                      metadata={"finalizers": ["example.com/held"]}),
            an_object("apps/v1", "Deployment", "neighbour", is_ours=False),
        ]
    )  # fmt: skip


@pytest.fixture
def connected(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    with api_server(cluster, tmp_path) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        yield cluster


def test_what_components_left_behind_is_listed_and_deleted(
    connected: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``keda`` replaces the autoscalers, ``monitoring`` and ``tls`` are taken out."""
    overlay = copied_overlay(tmp_path, "keda")
    before = connected.names()
    wanted = {f"{each['kind']}/{each['metadata']['name']}" for each in manifests(OVERLAY).objects}
    of_components = {
        f"{each['kind']}/{each['metadata']['name']}"
        for each in manifests(OVERLAY, BEFORE).objects
        if each["kind"] != "ConfigMap" or "dashboard" in each["metadata"]["name"]
    } - wanted
    of_components |= {"HorizontalPodAutoscaler/triton", "HorizontalPodAutoscaler/retrieval"}

    assert main([str(overlay)]) == 1
    listed = capsys.readouterr().out
    assert connected.names() == before
    assert "horizontalpodautoscalers.autoscaling/triton: left over\n" in listed
    assert "persistentvolumeclaims/old-index: holds data\n" in listed

    assert main([str(overlay), "--delete"]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "secrets/triton-client-tls: deleted",
        "secrets/triton-tls: deleted",
        f"{len(before - connected.names())} deleted, 2 left over in namespace beauty-retrieval",
    ]
    assert main([str(overlay), "--delete"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "networkpolicies.networking.k8s.io/held: being deleted",
        "persistentvolumeclaims/old-index: holds data",
        "0 deleted, 2 left over in namespace beauty-retrieval",
    ]
    gone = before - connected.names()
    assert gone >= of_components | {f"Secret/{name}" for name in CERTIFIED}
    assert gone >= {"ConfigMap/retrieval-9876543210"}
    kept = {"ConfigMap/retrieval-0123456789", "ConfigMap/index-build-0123456789",
            "Secret/retrieval-tokens", "Deployment/neighbour", "ReplicaSet/retrieval-1",
            "Job/rebuild-index-1", "PersistentVolumeClaim/old-index"}  # fmt: skip
    assert not gone & (kept | (wanted - of_components))


def test_nothing_is_left_over_of_the_overlay_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where metrics-server does not run, so that an API of the cluster does not answer."""
    overlay = copied_overlay(tmp_path, *BEFORE)
    secrets = [an_object("v1", "Secret", name) for name in CERTIFIED]
    objects = [*manifests(OVERLAY, BEFORE).objects, *secrets]
    down = ("metrics.k8s.io/v1beta1",)
    with api_server(Cluster(objects, down=down), tmp_path) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        assert main([str(overlay)]) == 0
    assert capsys.readouterr().out == "0 deleted, 0 left over in namespace beauty-retrieval\n"


def test_a_cluster_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert main([str(copied_overlay(tmp_path))]) == 1
    assert capsys.readouterr().err == (
        "error: kubectl get --raw /apis failed: The connection to the server localhost:8080 was "
        "refused - did you specify the right host or port?\n"
    )


def test_a_cluster_without_the_overlay_is_told_from_one_without_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = copied_overlay(tmp_path)
    foreign = an_object("v1", "ConfigMap", "kube-root-ca.crt", is_ours=False)
    with api_server(Cluster([foreign]), tmp_path) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        assert main([str(overlay)]) == 1
    assert capsys.readouterr().err == (
        "error: The namespace beauty-retrieval has no object with the label "
        "app.kubernetes.io/part-of=beauty-retrieval. Apply the overlay, or choose its cluster: "
        "kubectl config use-context NAME\n"
    )


@pytest.mark.parametrize(
    ("kind", "name", "owner", "is_kept"),
    [
        ("ReplicaSet", "retrieval-1", ("Deployment", "retrieval"), True),
        ("ReplicaSet", "former-1", ("Deployment", "former"), False),
        ("Job", "merge-index", None, True),
        ("Job", "former", None, False),
        ("Job", "rebuild-index-1", ("CronJob", "rebuild-index"), True),
        ("CronJob", "rebuild-index", None, True),
    ],
)
def test_a_configmap_is_kept_for_a_reader_that_is_not_left_over(
    kind: str, name: str, owner: tuple[str, str] | None, is_kept: bool
) -> None:
    owners = [{"kind": owner[0], "name": owner[1]}] if owner else []
    reader = an_object("v1", kind, name, metadata={"ownerReferences": owners},
                       spec=reading("settings-0123456789"))  # fmt: skip
    read = ("configmaps/settings-0123456789", an_object("v1", "ConfigMap", "settings-0123456789"))
    found = leftovers(manifests(OVERLAY), [("", reader), read])
    assert is_kept == (read[0] not in {each.address for each in found})
