"""The stand-in of tests/deploy answers as the API server does."""

from collections.abc import Iterator
from typing import Any

import pytest

from deploy.policies.rendering import Object
from tests.support.control_plane.running import ControlPlane
from tests.support.deploy.api_server import Cluster
from tests.support.patience import eventually

pytestmark = pytest.mark.control_plane

NAMESPACE = "stand-in"
CONFIGS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
DOWN = "down.example.com/v1"
REQUESTS = [
    ("GET", CONFIGS),
    ("GET", f"{CONFIGS}?labelSelector=of%3Dours"),
    ("GET", f"{CONFIGS}?labelSelector=of%3Dnobody"),
    ("GET", f"{CONFIGS}/free"),
    ("GET", f"{CONFIGS}/absent"),
    ("DELETE", f"{CONFIGS}/absent"),
    ("DELETE", f"{CONFIGS}/held"),
    ("GET", f"{CONFIGS}/held"),
    ("DELETE", f"{CONFIGS}/free"),
    ("GET", f"{CONFIGS}/free"),
    ("GET", CONFIGS),
    ("GET", "/api/v1/namespaces/absent/configmaps"),
    ("GET", f"/api/v1/namespaces/{NAMESPACE}/nothing"),
    ("GET", f"/apis/nothing.example.com/v1/namespaces/{NAMESPACE}/things"),
    ("GET", f"/apis/{DOWN}"),
]


def config(name: str, **metadata: object) -> Object:
    told = {"name": name, "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": told}


OBJECTS = [
    config("free", labels={"of": "ours"}),
    config("held", labels={"of": "ours"}, finalizers=["example.com/held"]),
]


@pytest.fixture(scope="module")
def filled(plane: ControlPlane) -> Iterator[ControlPlane]:
    """The API server with the namespace and its objects, and with an API that does not answer."""
    plane.request("/api/v1/namespaces", "POST", {"metadata": {"name": NAMESPACE}})
    for each in OBJECTS:
        plane.request(CONFIGS, "POST", each)
    group, version = DOWN.split("/")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "absent", "namespace": "absent"},
    }
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = f"{version}.{group}"
    plane.request(services, "POST", {"metadata": {"name": name}, "spec": spec})
    eventually(lambda: plane.answer(f"/apis/{DOWN}", "GET")[0] == 503)
    yield plane
    plane.request(f"{services}/{name}", "DELETE")


def in_short(code: int, body: Object) -> dict[str, Any]:
    """What kubectl reads of an answer: the code, the kind, and which objects."""
    ours = [
        each for each in body.get("items", ()) if each["metadata"]["name"] != "kube-root-ca.crt"
    ]
    metadata = body.get("metadata", {})
    return {
        "code": code,
        "kind": body.get("kind"),
        "status": body.get("status"),
        "reason": body.get("reason"),
        "name": metadata.get("name"),
        "is ending": "deletionTimestamp" in metadata,
        "items": sorted(each["metadata"]["name"] for each in ours),
    }


def test_the_stand_in_answers_as_the_api_server(filled: ControlPlane) -> None:
    stand_in = Cluster(
        [each | {"metadata": dict(each["metadata"])} for each in OBJECTS], down=(DOWN,)
    )
    for method, path in REQUESTS:
        real = in_short(*filled.answer(path, method))
        assert in_short(*stand_in.answer(method, path)) == real, f"{method} {path}"


def test_both_discover_the_same_of_a_kind(filled: ControlPlane) -> None:
    stand_in = Cluster([config("free")])
    (mine,) = stand_in.answer("GET", "/api/v1")[1]["resources"]
    real = filled.request("/api/v1")["resources"]
    (theirs,) = [each for each in real if each["name"] == "configmaps"]
    for key in ("name", "kind", "namespaced"):
        assert mine[key] == theirs[key]
    assert set(mine["verbs"]) <= set(theirs["verbs"])
