"""Policy "changes": one server takes the changes to the catalogue, and the others follow it."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.containers import commands_of
from deploy.policies.rendering import Manifests, Pods
from deploy.policies.workloads import WRITER

WRITABLE = "RETRIEVAL_WRITABLE"
COMPACT_AFTER = "RETRIEVAL_COMPACT_AFTER"  # 0: the image has no packages of a build
NEEDED = ("RETRIEVAL_TOKEN_FILE", "RETRIEVAL_TLS_CERT")  # or everybody may change the catalogue
BUILDS = ("extract", "index")  # of beauty-export: from the file of the catalogue


def one_writer(rendered: Manifests) -> Iterator[str]:
    """The writer is one pod with the settings of the servers; nothing else makes an index."""
    for pods in rendered.pods():
        is_writer = pods.owner == f"Deployment/{WRITER}"
        takes_changes = WRITABLE in rendered.environment_of(pods.main)
        if takes_changes is not is_writer:
            yield f"{pods.owner} takes changes and is not the writer, or the reverse ({WRITABLE})"
    for writer in rendered.pods(WRITER):
        yield from _writer_findings(rendered, writer)
        for pods in rendered.pods():
            yield from _build_findings(rendered, pods)


def _writer_findings(rendered: Manifests, writer: Pods) -> Iterator[str]:
    spec = rendered.get(writer.owner)["spec"]
    if spec.get("replicas") != 1 or spec.get("strategy", {}).get("type") != "Recreate":
        yield f"{writer.owner} may have two pods, which wait for one lock (replicas, strategy)"
    for each in rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        if each["spec"]["scaleTargetRef"]["name"] == WRITER:
            yield f"{writer.owner} has an autoscaler; one pod takes the changes"
    (server,) = rendered.pods("retrieval")
    own, others = (rendered.environment_of(each.main) for each in (writer, server))
    names = {name for name in {*own, *others} if name.startswith("RETRIEVAL_")}
    if own.get(COMPACT_AFTER) != "0":
        yield f"{writer.owner} compacts, which the CronJob does ({COMPACT_AFTER})"
    for name in sorted(names - {WRITABLE, COMPACT_AFTER}):
        if own.get(name) != others.get(name):
            yield f"{writer.owner} has {name}={own.get(name)}, the servers {others.get(name)}"
    yield from (f"{writer.owner} takes changes without {e}" for e in NEEDED if e not in own)
    if _claim_of_index(writer) is None or _claim_of_index(writer) != _claim_of_index(server):
        yield f"{writer.owner} writes to another volume than that from which the servers follow"


def _claim_of_index(pods: Pods) -> str | None:
    """The claim that is mounted as the index; None if it is something else."""
    mounted = {each["mountPath"]: each["name"] for each in pods.main.get("volumeMounts", ())}
    for each in pods.volumes:
        if each["name"] == mounted.get("/index"):
            claim: str | None = each.get("persistentVolumeClaim", {}).get("claimName")
            return claim
    return None


def _build_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    for container in pods.containers:
        for words in commands_of(rendered, container):
            if words[0] == "beauty-export" and words[1] in BUILDS:
                yield f"{pods.owner} builds an index from a file that has not the changes"
