"""Policy "belonging": what serves one workload has its name, and leads to nothing else.

An account, an autoscaler, a budget, a Service or a PodMonitor that is there and sound, but is that
of another workload, passes every check of one object alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.policies.containers import commands_of
from deploy.policies.rendering import Manifests, Object, Pods, name_of
from deploy.policies.traffic import selects
from deploy.policies.workloads import WRITER

NAME = "app.kubernetes.io/name"
# The image of each program, as a stage of deploy/images/Dockerfile.
IMAGES = {
    "beauty-server": "server",
    "beauty-search": "server",
    "beauty-export": "export",
    "tritonserver": "triton",
}


def of_one_workload(rendered: Manifests) -> Iterator[str]:
    """Each object belongs to the workload of its name, and each program to its image."""
    yield from _version_findings(rendered)
    for pods in rendered.pods():
        name = pods.owner.split("/")[1]
        if pods.spec.get("serviceAccountName") != name:
            yield f"{pods.owner} has the account {pods.spec.get('serviceAccountName')}, not {name}"
        if pods.labels.get(NAME) != name:
            yield f"{pods.owner} gives its pods the label {NAME}: {pods.labels.get(NAME)}"
        yield from _image_findings(rendered, pods)
    for each in rendered.of_kind("Job", "CronJob"):
        yield from _differing(each, each["metadata"]["labels"][NAME], "has the label")
    for each in rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        yield from _differing(each, each["spec"]["scaleTargetRef"]["name"], "scales")
    for each in rendered.of_kind("PodDisruptionBudget"):
        yield from _differing(each, each["spec"]["selector"]["matchLabels"][NAME], "selects")
    for each in rendered.of_kind("PodMonitor"):
        yield from _monitor_findings(rendered, each)
    for each in rendered.of_kind("Service"):
        yield from _differing(each, each["spec"]["selector"].get(NAME), "selects")
        yield from _port_findings(rendered, each)


def _monitor_findings(rendered: Manifests, monitor: Object) -> Iterator[str]:
    """A PodMonitor selects the workload of its name; that of the servers, the writer too."""
    name = monitor["metadata"]["name"]
    wanted = {name, *({WRITER} if name == "retrieval" and rendered.pods(WRITER) else ())}
    selector = monitor["spec"]["selector"]
    found = {pods.owner.split("/")[1] for pods in rendered.pods() if selects(selector, pods.labels)}
    if found != wanted:
        yield f"{name_of(monitor)} selects {', '.join(sorted(found))}"


def _differing(each: Object, name: str | None, verb: str) -> Iterator[str]:
    if name != each["metadata"]["name"]:
        yield f"{name_of(each)} {verb} {name}"


def _image_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    """Every program runs in the image that has its packages; a shell in that of its pod."""
    for container in pods.containers:
        programs = {words[0] for words in commands_of(rendered, container)}
        wanted = {IMAGES[each] for each in programs if each in IMAGES}
        stage = stage_of(container["image"])
        if wanted and wanted != {stage}:
            yield (
                f"{pods.owner}, container {container['name']}, runs "
                f"{', '.join(sorted(programs & set(IMAGES)))} in the image {container['image']}, "
                f"not in that of {', '.join(sorted(wanted))}"
            )
        if container["image"] != pods.main["image"]:
            yield f"{pods.owner} has two images, {container['image']} and {pods.main['image']}"


def _version_findings(rendered: Manifests) -> Iterator[str]:
    """Images of one stage are one image; where they have tags, these are one version."""
    images: dict[str, str] = {}
    tags: dict[str, str] = {}
    for pods in rendered.pods():
        image = pods.main["image"]
        if images.setdefault(stage_of(image), image) != image:
            yield f"{pods.owner} has the image {image}, others {images[stage_of(image)]}"
        if "@" not in image:
            tags[image.rpartition(":")[2]] = f"{image} of {pods.owner}"
    if len(tags) > 1:
        yield f"The images have several versions: {', '.join(tags.values())}"


def stage_of(image: str) -> str:
    """The stage of the Dockerfile that an image is, by the last part of its name."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0].rpartition("-")[2]


def _port_findings(rendered: Manifests, service: Object) -> Iterator[str]:
    """A port of a Service leads to the port of its name and number."""
    for pods in rendered.pods(service["metadata"]["name"]):
        ports = {each["name"]: each["containerPort"] for each in pods.main.get("ports", ())}
        for port in service["spec"]["ports"]:
            name, number = port.get("targetPort"), port["port"]
            if name != port.get("name") or ports.get(name) != number:
                yield f"{name_of(service)} leads from {port.get('name')}, {number}, to {name}"
