"""Overlays for the Kubernetes of the tests, which is older than the one they are written for.

An overlay is rendered, each object is changed to what the server knows, and a folder with the
result takes the overlay's place. Kinds get the version that the server has, and fields that its
schema lacks go. A probe or a preStop that loses its action gets another one, since the server
refuses one without. Kinds of operators get a definition that takes every field.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deploy.policies.rendering import DEPLOY, Object
from deploy.policies.rendering.combinations import documents_in
from deploy.policies.rendering.kubectl import render
from tests.support.deploy.api_server import plural

OLDER = {
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "autoscaling/v2beta2",
    ("batch/v1", "CronJob"): "batch/v1beta1",
    ("policy/v1", "PodDisruptionBudget"): "policy/v1beta1",
}
ACTIONS = {"exec", "httpGet", "tcpSocket"}
PROBE = {"tcpSocket": {"port": 1}}
ACTION_INSTEAD = {
    "startupProbe": PROBE,
    "readinessProbe": PROBE,
    "livenessProbe": PROBE,
    "preStop": {"exec": {"command": ["sleep", "1"]}},
}
OWN_GROUPS = {"networking.k8s.io"}  # Kubernetes' own, with a dot


@dataclass
class Older:
    """What a server knows.

    Attributes:
        openapi: its document ``/openapi/v2``.
        dropped: kind and path of each field that it does not have, as they are met.
    """

    openapi: Object
    dropped: set[str] = field(default_factory=set)

    def overlay(
        self,
        folder: Path,
        name: str,
        parts: Iterable[str] = (),
        namespace: str = "beauty-retrieval",
        settings: Mapping[str, str] = {},
        patches: Sequence[Mapping[str, object]] = (),
    ) -> Path:
        """Write a folder that takes the place of an overlay of a user.

        Args:
            folder: does not exist yet.
            name: of the overlay that it is made from.
            parts: names of the components that it adds.
            namespace: of all objects.
            settings: a line for a ConfigMap, by its name, such as ``SHARDS=8``.
            patches: as a kustomization has them.

        Returns:
            The folder.
        """
        folder.mkdir(parents=True)
        tree = os.path.relpath(DEPLOY, folder)
        kustomization = {
            "namespace": namespace,
            "resources": [f"{tree}/overlays/{name}"],
            "components": [f"{tree}/components/{part}" for part in parts],
            "transformers": [f"{tree}/transformers"],
            "configMapGenerator": [
                {"name": config, "behavior": "merge", "literals": [line]}
                for config, line in settings.items()
            ],
            "patches": list(patches),
        }
        path = folder / "kustomization.yaml"
        path.write_text(yaml.safe_dump(kustomization))
        objects = [self.older(each) for each in documents_in(render(folder))]
        (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        path.write_text("resources: [objects.yaml]\n")
        return folder

    def older(self, each: Object) -> Object:
        """An object as this server takes it; the one that is given stays as it is."""
        version = OLDER.get((each["apiVersion"], each["kind"]), each["apiVersion"])
        schema = self._schema(version, each["kind"])
        made: Object = self._pruned(each, schema, each["kind"])
        return made | {"apiVersion": version}

    def _schema(self, version: str, kind: str) -> Object:
        group, _, version = version.rpartition("/")
        wanted = {"group": group, "version": version, "kind": kind}
        for each in self.openapi["definitions"].values():
            if wanted in each.get("x-kubernetes-group-version-kind", ()):
                return dict(each)
        return {}  # of an operator

    def _pruned(self, value: Any, schema: Object, path: str) -> Any:
        if "$ref" in schema:
            schema = self.openapi["definitions"][schema["$ref"].rpartition("/")[2]]
        if isinstance(value, list) and "items" in schema:
            return [self._pruned(each, schema["items"], path) for each in value]
        if not isinstance(value, dict) or "properties" not in schema:
            return value
        made = {}
        for name, inner in value.items():
            where = f"{path}.{name}"
            if name not in schema["properties"]:
                self.dropped.add(where)
                continue
            made[name] = self._pruned(inner, schema["properties"][name], where)
            if name in ACTION_INSTEAD and ACTIONS.isdisjoint(made[name]):
                made[name] |= ACTION_INSTEAD[name]
        return made


def definitions(kinds: Iterable[tuple[str, str]]) -> Iterator[Object]:
    """Definitions of the kinds of operators, each with a schema that takes every field.

    Args:
        kinds: versions and kinds; those of Kubernetes are left out.
    """
    for api, kind in sorted(kinds):
        group, _, version = api.rpartition("/")
        if "." not in group or group in OWN_GROUPS:
            continue
        names = {"kind": kind, "plural": plural(kind), "singular": kind.lower()}
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {"served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{names['plural']}.{group}",
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": names,
                "versions": [{"name": version, **served}],
            },
        }
