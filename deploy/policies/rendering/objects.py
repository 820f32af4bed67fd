"""The objects of one rendering, looked up by kind and name, and the pods of its workloads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2]
WORKLOADS = ("Deployment", "Job", "CronJob")

Object = dict[str, Any]


@dataclass(frozen=True)
class Pods:
    """The pods of one workload.

    Attributes:
        owner: the workload, such as ``Deployment/triton``.
        labels: labels of each pod.
        spec: the pod's specification.
    """

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All containers, the init containers first."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def main(self) -> Object:
        """The first container that is not an init container."""
        container: Object = self.spec["containers"][0]
        return container

    @property
    def volumes(self) -> list[Object]:
        """The volumes of each pod."""
        return [*self.spec.get("volumes", ())]


@dataclass(frozen=True)
class Manifests:
    """The objects of one overlay with some components.

    Attributes:
        name: the overlay and the components, such as ``cpu-dev+tls``.
        objects: the rendered objects; renderings share them, so copy one before you change it.
        deploy: the folder that they were rendered from.
    """

    name: str
    objects: list[Object]
    deploy: Path = DEPLOY

    @property
    def overlay(self) -> str:
        """The name of the overlay."""
        return self.name.partition("+")[0]

    @property
    def is_production(self) -> bool:
        """Whether the overlay is one for production, on several nodes: its name ends so."""
        return self.overlay.endswith("-prod")

    @property
    def namespace(self) -> str:
        """The name of the namespace that is rendered.

        Raises:
            LookupError: if there is none, or more than one.
        """
        found = [str(each["metadata"]["name"]) for each in self.of_kind("Namespace")]
        if len(found) != 1:
            raise LookupError(f"{self.name} has {len(found)} objects of kind Namespace")
        return found[0]

    def of_kind(self, *kinds: str) -> list[Object]:
        """The objects of some kinds, in the order of the rendering."""
        return [each for each in self.objects if each["kind"] in kinds]

    def find(self, kind: str, name: str) -> Object | None:
        """An object by its kind and its whole name; None if there is none."""
        found = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found[0] if found else None

    def get(self, reference: str) -> Object:
        """An object by ``Kind/name``; the name of a generated one without its hash.

        Raises:
            LookupError: if there is none, naming the rendering and the object.
        """
        kind, name = reference.split("/")
        for each in self.of_kind(kind):
            if each["metadata"]["name"] == name or is_hashed(each["metadata"]["name"], name):
                return each
        raise LookupError(f"{self.name} has no {reference}")

    def pods(self, *names: str) -> list[Pods]:
        """The pods of the workloads with some names; of every workload if no name is given."""
        found = [_pods_of(each) for each in self.of_kind(*WORKLOADS)]
        return [each for each in found if not names or each.owner.split("/")[1] in names]

    def settings(self) -> dict[str, str]:
        """The values of the ConfigMaps that the retrieval server reads."""
        names = ["models", "triton", "retrieval", *(["store"] if self.has_store else [])]
        return dict(chain(*(self.get(f"ConfigMap/{each}")["data"].items() for each in names)))

    @property
    def has_store(self) -> bool:
        """Whether the index is in a store, and not in files."""
        return any(
            is_hashed(each["metadata"]["name"], "store") for each in self.of_kind("ConfigMap")
        )

    def environment_of(self, container: Object) -> dict[str, str]:
        """The variables of a container whose values are in it or in a ConfigMap."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            config = self.find("ConfigMap", source.get("configMapRef", {}).get("name", ""))
            found |= config["data"] if config else {}
        for each in container.get("env", ()):
            key = each.get("valueFrom", {}).get("configMapKeyRef") or {}
            config = self.find("ConfigMap", key.get("name", ""))
            if config and key["key"] in config["data"]:
                found[each["name"]] = config["data"][key["key"]]
            elif "value" in each:
                found[each["name"]] = each["value"]
        return found


def name_of(each: Object) -> str:
    """An object as ``Kind/name``."""
    return f"{each['kind']}/{each['metadata']['name']}"


def is_hashed(name: str, stem: str) -> bool:
    """Whether Kustomize made a name of a stem and a hash."""
    return name.rpartition("-")[0] == stem and len(name) == len(stem) + 11


def _pods_of(workload: Object) -> Pods:
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec["template"]
    return Pods(name_of(workload), template["metadata"].get("labels", {}), template["spec"])
