"""Finds what a cluster still has of an overlay's earlier form: `kubectl apply` deletes nothing.

An object is left over if it has our label, belongs to no other object, and is not in the rendering
of the overlay. ConfigMaps that a revision of a Deployment or a job reads are not left over, but
needed by `kubectl rollout undo` and by the next pod of the job. The exit status is 1 if something
is left over, and after an error.

Example: .venv/bin/python -m deploy.leftovers deploy/overlays/gpu-prod
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from deploy.policies.rendering import DEPLOY, Manifests, Object
from deploy.policies.rendering.combinations import documents_in
from deploy.policies.rendering.kubectl import kubectl, render

LABEL = "app.kubernetes.io/part-of=beauty-retrieval"
GENERATED = {("", "ConfigMap"), ("", "Secret")}  # by Kustomize, and by cert-manager
REVISION = ("apps", "ReplicaSet")
READERS = {"ReplicaSet", "Job"}  # they keep the names of the ConfigMaps that they began with
DATA = {"PersistentVolumeClaim"}  # nothing brings it back
SOURCES = ("base", "components", "overlays")


@dataclass(frozen=True, order=True)
class Resource:
    """An object of the cluster.

    Attributes:
        kind: such as ``Deployment``.
        name: of the object.
        address: as ``kubectl delete`` takes it, such as ``deployments.apps/triton``.
    """

    kind: str
    name: str
    address: str


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
        namespace = rendered.namespace
        found = leftovers(rendered, objects_of_cluster(namespace))
        deleted = [each for each in found if options.delete and each.kind not in DATA]
        if deleted:
            names = (each.address for each in deleted)
            _kubectl("--namespace", namespace, "delete", "--wait=false", *names)
    except (RuntimeError, LookupError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    for each in found:
        note = "deleted" if each in deleted else "holds data" if each.kind in DATA else "left over"
        sys.stdout.write(f"{each.address}: {note}\n")
    kept = len(found) - len(deleted)
    sys.stdout.write(f"{len(deleted)} deleted, {kept} left over in namespace {namespace}\n")
    if kept:
        listed = " ".join(each.address for each in found if each not in deleted)
        sys.stdout.write(f"To delete: kubectl --namespace {namespace} delete {listed}\n")
    return 1 if kept else 0


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
    read = [json.dumps(each["spec"]) for _, each in found if each["kind"] in READERS]
    return sorted(
        Resource(kind, name, address)
        for address, each in found
        for kind, name in [(each["kind"], each["metadata"]["name"])]
        if (kind, name) not in wanted
        and not each["metadata"].get("ownerReferences")
        and not (kind == "ConfigMap" and any(f'"name": "{name}"' in text for text in read))
    )


def objects_of_cluster(namespace: str) -> list[tuple[str, Object]]:
    """The objects in a namespace that have our label and a kind of ours, with their addresses.

    Raises:
        RuntimeError: with kubectl's message, if the cluster does not answer.
    """
    ours = kinds_of_sources() | GENERATED | {REVISION}
    types = {}
    for line in _kubectl("api-resources", "--namespaced", "--no-headers").splitlines():
        words = line.split()
        group = words[-3].rpartition("/")[0]
        if (group, words[-1]) in ours:
            types[group, words[-1]] = f"{words[0]}.{group}" if group else words[0]
    if not types:
        return []
    listed = _kubectl(
        "--namespace", namespace, "get", ",".join(types.values()), "-l", LABEL, "-o", "json"
    )
    return [
        (f"{types[group, each['kind']]}/{each['metadata']['name']}", each)
        for each in json.loads(listed)["items"]
        for group in [each["apiVersion"].rpartition("/")[0]]
    ]


def kinds_of_sources(deploy: Path = DEPLOY) -> set[tuple[str, str]]:
    """The groups and kinds of all objects that base, components and overlays make."""
    found = set()
    for path in (each for name in SOURCES for each in (deploy / name).rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict) and path.name != "kustomization.yaml":
                found.add((document["apiVersion"].rpartition("/")[0], document["kind"]))
    return found - {("", "Namespace")}


def _kubectl(*words: str) -> str:
    """What kubectl prints.

    Raises:
        RuntimeError: with its message, if it fails.
    """
    done = subprocess.run(  # noqa: S603 - kubectl, with words of ours
        [kubectl(), *words], env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words[:4])} failed: {done.stderr.strip()}")
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
