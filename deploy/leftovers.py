"""Finds what a cluster still has of an overlay's earlier form: `kubectl apply` deletes nothing.

An object is left over if it has our label, belongs to no other object, and is not in the rendering
of the overlay. ConfigMaps that a revision of a Deployment or a job reads are not left over, but
needed by `kubectl rollout undo` and by the next pod of the job; unless that Deployment or job is
left over itself. The exit status is 1 if something is left over, and after an error.

Example: .venv/bin/python -m deploy.leftovers deploy/overlays/gpu-prod
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import yaml

from deploy.policies.rendering import DEPLOY, Manifests, Object
from deploy.policies.rendering.combinations import documents_in
from deploy.policies.rendering.kubectl import kubectl, render

LABEL = "app.kubernetes.io/part-of=beauty-retrieval"
GENERATED = {("", "ConfigMap"), ("", "Secret")}  # by Kustomize, and by cert-manager
REVISION = ("apps", "ReplicaSet")
# They keep the names of the ConfigMaps that they began with.
READERS = {"ReplicaSet", "Job", "CronJob"}
DATA = {"PersistentVolumeClaim"}  # nothing brings it back
# A controller may be quicker: it deletes what belongs to an object that was deleted.
DELETE_OPTIONS = ("--wait=false", "--ignore-not-found")
SOURCES = ("base", "components", "overlays")
LOGGED = re.compile(r"[EWI]\d{4} |Warning: ")  # lines of kubectl before its message


@dataclass(frozen=True, order=True)
class Resource:
    """An object of the cluster.

    Attributes:
        kind: such as ``Deployment``.
        name: of the object.
        address: as ``kubectl delete`` takes it, such as ``deployments.apps/triton``.
        is_ending: whether it was deleted, and waits for what must happen first: its finalizers.
    """

    kind: str
    name: str
    address: str
    is_ending: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those of the command line by default.

    Returns:
        1 if something is left over that was not deleted, or after an error; else 0.
    """
    options = _parser().parse_args(arguments)
    try:
        rendered = Manifests(options.overlay.name, documents_in(render(options.overlay)))
        types = resource_types(kinds_of_sources() | GENERATED | {REVISION})
        objects = objects_of_cluster(rendered.namespace, types)
        if not objects:
            raise LookupError(
                f"The namespace {rendered.namespace} has no object with the label {LABEL}. Apply "
                "the overlay, or choose its cluster: kubectl config use-context NAME"
            )
        found = remaining = leftovers(rendered, objects)
        to_delete = [each.address for each in found if each.kind not in DATA and not each.is_ending]
        if options.delete and to_delete:
            _kubectl("--namespace", rendered.namespace, "delete", *DELETE_OPTIONS, *to_delete)
            remaining = leftovers(rendered, objects_of_cluster(rendered.namespace, types))
    except (RuntimeError, LookupError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    _report(found, remaining, rendered.namespace)
    return 1 if remaining else 0


def leftovers(rendered: Manifests, found: Iterable[tuple[str, Object]]) -> list[Resource]:
    """What the cluster has of us and the rendering does not.

    Args:
        rendered: the overlay.
        found: the objects of the cluster, each with its address.

    Returns:
        The objects, sorted.
    """
    found = list(found)
    wanted = {(each["kind"], each["metadata"]["name"]) for each in rendered.objects}
    wanted |= {("Secret", c["spec"]["secretName"]) for c in rendered.of_kind("Certificate")}
    read = [
        json.dumps(each["spec"])
        for _, each in found
        if each["kind"] in READERS and not wanted.isdisjoint(_itself_and_owners(each))
    ]
    return sorted(
        Resource(kind, name, address, "deletionTimestamp" in each["metadata"])
        for address, each in found
        for kind, name in [(each["kind"], each["metadata"]["name"])]
        if (kind, name) not in wanted
        and not each["metadata"].get("ownerReferences")
        and not (kind == "ConfigMap" and any(f'"name": "{name}"' in text for text in read))
    )


def objects_of_cluster(
    namespace: str, types: Mapping[tuple[str, str], str]
) -> list[tuple[str, Object]]:
    """The objects in a namespace that have our label, with their addresses.

    Args:
        namespace: its name.
        types: the kinds to look for; see ``resource_types``.

    Raises:
        RuntimeError: with kubectl's message, if the cluster does not answer.
    """
    listed = _kubectl(
        "--namespace", namespace, "get", ",".join(types.values()), "-l", LABEL, "-o", "json"
    )
    return [
        (f"{types[group, each['kind']]}/{each['metadata']['name']}", each)
        for each in json.loads(listed)["items"]
        for group in [each["apiVersion"].rpartition("/")[0]]
    ]


def resource_types(kinds: Set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The groups and kinds that the cluster has, each as ``kubectl get`` takes it.

    This asks for each group by its name. `kubectl api-resources` asks for all, and fails where one
    does not answer, such as that of a metrics-server which is down.

    Args:
        kinds: the groups and kinds to look for.

    Raises:
        RuntimeError: with kubectl's message, if the cluster does not answer.
    """
    versions = {
        each["name"]: [version["groupVersion"] for version in each["versions"]]
        for each in json.loads(_kubectl("get", "--raw", "/apis"))["groups"]
    }
    paths = {group: [f"/apis/{each}" for each in found] for group, found in versions.items()}
    found = {}
    for group in sorted({group for group, _ in kinds}):
        missing = {kind for each, kind in kinds if each == group}
        for path in paths.get(group, ()) if group else ["/api/v1"]:
            if not missing:
                break
            for resource in json.loads(_kubectl("get", "--raw", path))["resources"]:
                name, kind = resource["name"], resource["kind"]
                if kind in missing and resource["namespaced"] and "/" not in name:
                    found[group, kind] = f"{name}.{group}" if group else name
                    missing.discard(kind)
    return found


def kinds_of_sources(deploy: Path = DEPLOY) -> set[tuple[str, str]]:
    """The groups and kinds of all objects that base, components and overlays make."""
    found = set()
    for path in (each for name in SOURCES for each in (deploy / name).rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict) and path.name != "kustomization.yaml":
                found.add((document["apiVersion"].rpartition("/")[0], document["kind"]))
    return found - {("", "Namespace")}


def _itself_and_owners(each: Object) -> set[tuple[str, str]]:
    """The kind and the name of an object and of those that it belongs to."""
    owners = each["metadata"].get("ownerReferences", ())
    named = [(each["kind"], each["metadata"]["name"])]
    return {*named, *((owner["kind"], owner["name"]) for owner in owners)}


def _report(found: Iterable[Resource], remaining: Sequence[Resource], namespace: str) -> None:
    """Print what became of each object, and a summary."""
    kept = {each.address: _state(each) for each in remaining}
    states = {each.address: "deleted" for each in found} | kept
    for address, state in sorted(states.items()):
        sys.stdout.write(f"{address}: {state}\n")
    deleted = len(states) - len(kept)
    sys.stdout.write(f"{deleted} deleted, {len(kept)} left over in namespace {namespace}\n")


def _state(each: Resource) -> str:
    if each.is_ending:
        return "being deleted"
    if each.kind in DATA:
        return "holds data"
    return "left over"


def _kubectl(*words: str) -> str:
    """What kubectl prints.

    Raises:
        RuntimeError: with the first of its messages, if it fails.
    """
    done = subprocess.run(  # noqa: S603 - kubectl, with words of ours
        [kubectl(), *words], env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        first, *more = [each for each in done.stderr.splitlines() if not LOGGED.match(each)] or [""]
        others = f" (and {len(more)} more)" if more else ""
        raise RuntimeError(f"kubectl {' '.join(words[:3])} failed: {first}{others}")
    return done.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.leftovers",
        description="List what the cluster has of an overlay and its rendering does not.",
        epilog="Example: python -m deploy.leftovers deploy/overlays/gpu-prod",
    )
    parser.add_argument("overlay", type=Path, metavar="OVERLAY", help="the overlay's folder")
    parser.add_argument(
        "--delete", action="store_true", help="delete what is left over, except claims of volumes"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
