"""Policy "sizing": memory and disk follow the sizing of ``deploy/README.md``, and each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

from deploy.policies.rendering import ROOT, Manifests, Object, Pods, name_of
from deploy.policies.rendering.quantities import number, quantity
from deploy.policies.workloads import WRITER
from export.models.profiles import PROFILES
from retrieval_server.models.model_repository import ModelRepository

# The products and the profile that an overlay is made for
MADE_FOR = {"cpu-dev": (10_000, "lite"), "gpu-prod": (1_000_000, "paper")}
# The rules of deploy/README.md, in bytes
SERVER_BYTES, SERVER_BYTES_PER_DIMENSION = 0.3e9, 0.5
DISK_BYTES_PER_DIMENSION, BUILD_BYTES_PER_DIMENSION = 5.5, 4.0
TEXT_BYTES_PER_PRODUCT, READ_BYTES_PER_PRODUCT = 1_000, 1_000
JOINED_BYTES_PER_PRODUCT = 1_000  # texts that several pods join
WORD_BYTES_PER_PRODUCT = 127  # that a server copies from a store, see docs/store.md
FREE_DISK = 0.1
DECODING_BYTES = 1.1e9  # of each worker
VERSIONS_IN_MEMORY = 2  # while the server changes to a new one
MOST = 8  # times the rule: more is a slip of the pen, and no node has it
COMPILED_SEARCH_BYTES = 64 * 2**20
DEFAULT_SHM_BYTES = 64 * 2**20  # of a container that mounts nothing at /dev/shm


def sized_by_the_rules(rendered: Manifests) -> Iterator[str]:
    """Memory and disk are as large as the rules say, and limits as large as what they bound."""
    for pods in rendered.pods():
        for container in pods.containers:
            name = f"{pods.owner}, container {container['name']},"
            yield from (f"{name} {words}" for words in _volume_findings(pods, container))
            yield from (f"{name} {words}" for words in _burst_findings(container))
        yield from _shared_memory_findings(pods)
    if rendered.overlay not in MADE_FOR:
        yield f"deploy/policies/sizing.py has no number of products for {rendered.overlay}"
        return
    products, profile = MADE_FOR[rendered.overlay]
    dimensions = dimensions_of(profile)
    reads_images = index_build(rendered).get("BEAUTY_EXPORT_READ_IMAGES") == "true"
    version = version_bytes(products, dimensions, reads_images=reads_images)
    mapped = 0 if rendered.has_store else products * dimensions
    yield from _server_findings(rendered, mapped)
    yield from _local_findings(rendered, version)
    if rendered.has_store:
        yield from _word_findings(rendered, products)
    if index := rendered.find("PersistentVolumeClaim", "index"):
        kept = index_build(rendered).get("BEAUTY_EXPORT_KEEP_VERSIONS")
        if kept is None:
            yield f"{name_of(index)} fills up: no BEAUTY_EXPORT_KEEP_VERSIONS removes old versions"
        build = products * dimensions * BUILD_BYTES_PER_DIMENSION
        build += products * JOINED_BYTES_PER_PRODUCT if rendered.has_store else 0
        needed = ((1 + number(kept)) * version + build) / (1 - FREE_DISK)
        storage = quantity(index["spec"]["resources"]["requests"]["storage"])
        if storage < needed:
            words = f"less than the {_gb(needed)} of {products} products"
            yield f"{name_of(index)} has {_gb(storage)}, {words}"


def version_bytes(products: int, dimensions: int, *, reads_images: bool) -> float:
    """The disk that a version of an index needs.

    Args:
        products: how many the catalogue has.
        dimensions: sum over all backbones.
        reads_images: whether the words on the images are in it.
    """
    texts = TEXT_BYTES_PER_PRODUCT + (READ_BYTES_PER_PRODUCT if reads_images else 0)
    return products * (dimensions * DISK_BYTES_PER_DIMENSION + texts)


def index_build(rendered: Manifests) -> dict[str, str]:
    """The settings of the jobs that build the index."""
    found: dict[str, str] = rendered.get("ConfigMap/index-build")["data"]
    return found


@cache
def dimensions_of(profile: str) -> int:
    """The sum of the dimensions of all backbones of a profile."""
    repository = ModelRepository(ROOT / "model_repository")
    return sum(repository.model(each.model).dimension for each in PROFILES[profile].backbones)


def _server_findings(rendered: Manifests, values: int) -> Iterator[str]:
    """The memory of the retrieval server, and of the one that takes changes."""
    for pods in rendered.pods("retrieval", WRITER):
        asked, limits = pods.main["resources"]["requests"], pods.main["resources"]["limits"]
        workers = math.ceil(quantity(asked["cpu"]))
        one = SERVER_BYTES + values * SERVER_BYTES_PER_DIMENSION
        most = VERSIONS_IN_MEMORY * one + workers * DECODING_BYTES
        for kind, has, needs in (
            ("requests", quantity(asked["memory"]), one),
            ("is limited to", quantity(limits["memory"]), most),
        ):
            if not needs <= has <= MOST * needs:
                words = f"{_gb(has)} of memory; the rule says {_gb(needs)} for {workers} workers"
                yield f"{pods.owner} {kind} {words}"


def _local_findings(rendered: Manifests, version: float) -> Iterator[str]:
    """A folder of the node that holds the index is as large as a version of it."""
    (pods,) = rendered.pods("retrieval")
    index = {e["mountPath"]: e["name"] for e in pods.main.get("volumeMounts", ())}.get("/index")
    for each in pods.volumes:
        if each["name"] == index and "emptyDir" in each:
            size = quantity(each["emptyDir"]["sizeLimit"])
            if size < version:
                yield f"{pods.owner} has {_gb(size)} for an index of {_gb(version)}"


def _word_findings(rendered: Manifests, products: int) -> Iterator[str]:
    """A server of a store has room for the words of two versions."""
    (pods,) = rendered.pods("retrieval")
    needed = VERSIONS_IN_MEMORY * products * WORD_BYTES_PER_PRODUCT
    for each in pods.volumes:
        if each["name"] == "tmp" and quantity(each["emptyDir"]["sizeLimit"]) < needed:
            yield f"{pods.owner} has less than the {_gb(needed)} of the words of two versions"


def _volume_findings(pods: Pods, container: Object) -> Iterator[str]:
    """The limits of a container bound what it can write to its volumes."""
    limits = container["resources"]["limits"]
    mounts = container.get("volumeMounts", ())
    mounted = {each["name"] for each in mounts if not each.get("readOnly")}
    folders = [each for each in pods.volumes if each["name"] in mounted and "emptyDir" in each]
    for resource, share, is_memory in (("ephemeral-storage", 1, False), ("memory", 2, True)):
        sizes = [
            quantity(each["emptyDir"]["sizeLimit"])
            for each in folders
            if (each["emptyDir"].get("medium") == "Memory") is is_memory
        ]
        if share * sum(sizes) > quantity(limits[resource]):
            part = "half of its" if is_memory else "its"
            yield f"has volumes of {_gb(sum(sizes))}, more than {part} limit of {resource}"
    caches = {e["name"]: e.get("value", "") for e in container.get("env", ())}
    paths = {each["mountPath"]: each["name"] for each in mounts}
    name = paths.get(caches.get("NUMBA_CACHE_DIR", ""))
    for each in folders:
        if each["name"] == name and quantity(each["emptyDir"]["sizeLimit"]) < COMPILED_SEARCH_BYTES:
            yield f"has {_gb(COMPILED_SEARCH_BYTES)} or more of compiled code for its volume {name}"


def _burst_findings(container: Object) -> Iterator[str]:
    """A limit is not far above the request, or a node promises what it does not have."""
    requests, limits = (container["resources"][kind] for kind in ("requests", "limits"))
    for resource in ("memory", "ephemeral-storage"):
        asked, limit = quantity(requests[resource]), quantity(limits[resource])
        if limit > MOST * asked:
            yield f"has a limit of {resource} that is {limit / asked:.0f} times its request"


def _shared_memory_findings(pods: Pods) -> Iterator[str]:
    for each in pods.volumes:
        folder = each.get("emptyDir") or {}
        size = quantity(folder.get("sizeLimit", 0))
        if folder.get("medium") == "Memory" and size <= DEFAULT_SHM_BYTES:
            yield f"{pods.owner}'s volume {each['name']} is no larger than that of every container"


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
