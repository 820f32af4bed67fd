"""Policy "index": the servers get their index whole, from one source, and cannot change it."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.rendering import Manifests, Object, Pods
from deploy.policies.rendering.quantities import quantity
from deploy.policies.traffic import selects

INDEX = "/index"
ONE_NODE = "ReadWriteOnce"
HOST = "kubernetes.io/hostname"


def index_of_the_servers(rendered: Manifests) -> Iterator[str]:
    """The index is mounted read-only; a copy is made first, has room, and comes by HTTPS."""
    (pods,) = rendered.pods("retrieval")
    for mount in _mounts(pods.main):
        if not mount.get("readOnly"):
            yield f"{pods.owner} can write its index at {INDEX}"
    names = {mount["name"] for mount in _mounts(pods.main)}
    for volume in pods.volumes:
        if volume["name"] in names and "emptyDir" in volume:
            yield from _copy_findings(rendered, pods, volume)
            yield from _node_findings(rendered)


def _mounts(container: Object) -> list[Object]:
    return [each for each in container.get("volumeMounts", ()) if each["mountPath"] == INDEX]


def _copy_findings(rendered: Manifests, pods: Pods, volume: Object) -> Iterator[str]:
    first = [*pods.spec.get("initContainers", ()), {}][0]
    words = [*first.get("command", ()), *first.get("args", ())]
    is_writable = any(not mount.get("readOnly") for mount in _mounts(first))
    if words[:2] != ["beauty-server", "fetch"] or not is_writable:
        yield f"{pods.owner} has an empty index: its first init container does not copy one"
        return
    if f"--output={INDEX}" not in words:
        yield f"{pods.owner} copies its index to another folder than {INDEX}"
    source = rendered.environment_of(first).get("INDEX_SOURCE", "")
    if not source.startswith("https://"):
        yield f"{pods.owner} copies its index from {source!r}, which is not HTTPS"
    size = quantity((volume["emptyDir"] or {}).get("sizeLimit", "0"))
    for container in (first, pods.main):
        limits = container.get("resources", {}).get("limits", {})
        if quantity(limits.get("ephemeral-storage", "0")) < size:
            yield (
                f"{pods.owner}, container {container['name']}, is evicted before its index is "
                "as large as the sizeLimit of the volume"
            )


def _node_findings(rendered: Manifests) -> Iterator[str]:
    """Pods that mount a volume of one node run on one node."""
    claims = {
        each["metadata"]["name"]
        for each in rendered.of_kind("PersistentVolumeClaim")
        if each["spec"].get("accessModes") == [ONE_NODE]
    }
    mounting = [
        pods
        for pods in rendered.pods()
        if any(
            each.get("persistentVolumeClaim", {}).get("claimName") in claims
            for each in pods.volumes
        )
    ]
    for pods in mounting:
        affinity = pods.spec.get("affinity", {}).get("podAffinity", {})
        terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())
        is_bound = any(
            term["topologyKey"] == HOST
            and all(selects(term["labelSelector"], other.labels) for other in mounting)
            for term in terms
        )
        if not is_bound:
            yield f"{pods.owner} may start on a node that cannot mount its {ONE_NODE} volume"
