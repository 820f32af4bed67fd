"""Policy "storage": claims that several nodes share, and who may write to what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.policies.containers import commands_of
from deploy.policies.rendering import Manifests, Object, Pods, name_of
from deploy.policies.rendering.quantities import flag
from deploy.policies.workloads import FOR_A_GPU

SHARED = "ReadWriteMany"
SHARED_TO_READ = "ReadOnlyMany"
MOUNTS_CLAIMS = "beauty-retrieval/mounts-claims"
TENSORRT = "/var/cache/tensorrt"  # where its configurations write, see model_repository/README.md
WRITES_TO_ITS_ARGUMENT = {"sample", "join-texts", "compact"}  # of beauty-export
SCRATCH = "/tmp"  # noqa: S108 - of a container, whose root file system is read-only


@dataclass(frozen=True)
class Mounted:
    """A claim in a container.

    Attributes:
        pods: that have the container.
        container: its name.
        path: where the claim is.
        claim: its name.
        may_write: whether the mount is not read-only.
        writes: whether a command of the container writes there.
        is_written: whether a command of any container of the pod does.
        claimed_to_read: whether the volume is read-only.
    """

    pods: Pods
    container: str
    path: str
    claim: str
    may_write: bool
    writes: bool
    is_written: bool
    claimed_to_read: bool


def shared_storage(rendered: Manifests) -> Iterator[str]:
    """Claims are shared by nodes, one path is one claim everywhere, and only writers write."""
    mounted = [each for pods in rendered.pods() for each in claims_of(rendered, pods)]
    for each in mounted:
        yield from _right_findings(each)
    yield from _path_findings(mounted)
    for claim in rendered.of_kind("PersistentVolumeClaim"):
        using = [each for each in mounted if each.claim == claim["metadata"]["name"]]
        yield from _access_findings(rendered, claim, using)
    for pods in rendered.pods():
        yield from _folder_findings(pods)


def claims_of(rendered: Manifests, pods: Pods) -> Iterator[Mounted]:
    """Every claim of every container of a pod."""
    claims = {e["name"]: claim for e in pods.volumes if (claim := e.get("persistentVolumeClaim"))}
    written = {each["name"]: written_paths(rendered, each) for each in pods.containers}
    by_all = [path for paths in written.values() for path in paths]
    for container in pods.containers:
        for mount in container.get("volumeMounts", ()):
            if claim := claims.get(mount["name"]):
                path = mount["mountPath"]
                yield Mounted(
                    pods,
                    container["name"],
                    path,
                    claim["claimName"],
                    may_write=not mount.get("readOnly"),
                    writes=_is_in(written[container["name"]], path),
                    is_written=_is_in(by_all, path),
                    claimed_to_read=bool(claim.get("readOnly")),
                )


def written_paths(rendered: Manifests, container: Object) -> list[str]:
    """The paths that the commands of a container write to."""
    env = rendered.environment_of(container)
    found = []
    for words in commands_of(rendered, container):
        found.append(flag(words, "--output") or "")
        if words[0] == "beauty-export" and words[1] in WRITES_TO_ITS_ARGUMENT:
            found.append(words[2])
        if words == ["beauty-server"] and env.get("RETRIEVAL_WRITABLE") == "true":
            found.append(env.get("RETRIEVAL_INDEX", ""))
    return [each for each in found if each]


def _is_in(paths: list[str], folder: str) -> bool:
    return any(f"{each}/".startswith(f"{folder}/") for each in paths)


def _right_findings(each: Mounted) -> Iterator[str]:
    name = f"{each.pods.owner}, container {each.container},"
    if each.may_write and not each.writes:
        yield f"{name} may write to {each.path}, which it only reads (readOnly)"
    if each.writes and (each.claimed_to_read or not each.may_write):
        yield f"{name} writes to {each.path}, which is mounted with readOnly"
    if not each.is_written and not each.claimed_to_read:
        yield f"{each.pods.owner} claims {each.claim} without readOnly, and only reads it"


def _path_findings(mounted: list[Mounted]) -> Iterator[str]:
    owners: dict[str, dict[str, str]] = {}  # by path and claim
    for each in mounted:
        owners.setdefault(each.path, {})[each.claim] = each.pods.owner
    for path, claims in owners.items():
        if len(claims) > 1:
            words = " and ".join(f"{claim} in {owner}" for claim, owner in sorted(claims.items()))
            yield f"The path {path} is the claim {words}"


def _access_findings(rendered: Manifests, claim: Object, using: list[Mounted]) -> Iterator[str]:
    modes = claim["spec"].get("accessModes", [])
    writers = sorted({each.pods.owner for each in using if each.writes})
    needed = {SHARED} if writers else {SHARED, SHARED_TO_READ}
    has_one_node = not rendered.is_production or all(_is_beside(each.pods) for each in using)
    if not needed & set(modes) and not has_one_node:
        yield f"{name_of(claim)} is shared by pods of several nodes, but is {', '.join(modes)}"
    if modes == [SHARED_TO_READ] and writers:
        yield f"{name_of(claim)} is {SHARED_TO_READ}, but {', '.join(writers)} writes to it"


def _is_beside(pods: Pods) -> bool:
    """Whether a pod runs only on the node of the others that mount claims."""
    affinity = pods.spec.get("affinity", {}).get("podAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())
    return pods.labels.get(MOUNTS_CLAIMS) == "true" and any(
        each["topologyKey"] == "kubernetes.io/hostname"
        and each["labelSelector"]["matchLabels"] == {MOUNTS_CLAIMS: "true"}
        for each in required
    )


def _folder_findings(pods: Pods) -> Iterator[str]:
    """Secrets are read, folders are written, and one path is one volume in all containers."""
    secrets = {each["name"] for each in pods.volumes if "secret" in each}
    folders = {each["name"] for each in pods.volumes if "emptyDir" in each}
    filled: set[str] = set()
    names: dict[str, str] = {}
    for container in pods.containers:
        for mount in container.get("volumeMounts", ()):
            path, name = mount["mountPath"], mount["name"]
            filled |= set() if mount.get("readOnly") else {name}
            if name in secrets and not mount.get("readOnly"):
                yield f"{pods.owner} mounts a Secret at {path} without readOnly"
            if names.setdefault(path, name) != name:
                yield f"{pods.owner} has the volumes {names[path]} and {name} at {path}"
    for name in sorted(folders - filled):
        yield f"{pods.owner} reads the volume {name}, which nothing fills"
    mounted = {each["mountPath"]: each["name"] for each in pods.main.get("volumeMounts", ())}
    wants_gpu = flag(pods.main.get("args", ()), "--model-config-name") in FOR_A_GPU
    if wants_gpu and mounted.get(TENSORRT) not in folders:
        yield f"{pods.owner} has no folder for TensorRT's engines at {TENSORRT}"
    if mounted.get(SCRATCH) not in folders:
        yield f"{pods.owner} has no folder to write to at {SCRATCH}"
