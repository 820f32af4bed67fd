"""Every field of the manifests, changed in every way that a slip of the pen would change it.

``python -m tests.support.deploy.mutations`` tries all of them and prints those that no policy
finds, with the share that is found; the tests try a sample.
"""

import copy
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from deploy.policies.fields import problems_of
from deploy.policies.registry import findings
from deploy.policies.rendering import Manifests, manifests, name_of
from tests.support.deploy.defects import ALL, BEYOND, CHANGING, INSIDE

# What no policy finds: fields, as regular expressions of their places, ways, and the reason.
POD = r"(Deployment|Job|CronJob)\.spec\.(jobTemplate\.spec\.)?template\.spec"
CONTAINER = POD + r"\.(initContainers|containers)\.#"
ANY = ("removed", "negated", "tenfold", "a tenth", "renamed", "swapped")
SCALED = ("swapped", "tenfold", "a tenth")
NAMED = ("renamed", "swapped")
NOT_FOUND_BY_POLICIES: list[tuple[str, tuple[str, ...], str]] = [
    # others find it
    (r"PrometheusRule\.spec\..*", ANY, "promtool"),
    (r"ScaledObject\.spec\.triggers\.#\.metadata\.query", NAMED, "promtool"),
    (r".*\.metadata\.annotations(\.checkov.*)?", ANY, "checkov, which an annotation answers"),
    (POD + r"\.initContainers\.#\.args\.#", NAMED, "test_manifest_run, which runs the scripts"),
    (r"Deployment\..*\.exec\.command\.#", NAMED, "test_manifest_run, which runs the probe"),
    # names that nothing refers to, and labels for people
    (r".*\.metadata\.labels(\.app\.kubernetes\.io/part-of)?", ("removed",), "for people"),
    (r".*\.jobTemplate\.metadata(\.labels(\..*)?)?", ("removed",), "for people"),
    (r"(NetworkPolicy|PrometheusRule|GRPCRoute)\.metadata\.name", NAMED, "nothing refers to it"),
    (r"(Certificate|ConfigMap|BackendTLSPolicy)\.metadata\.name", NAMED, "nothing refers to it"),
    (r"ConfigMap\.metadata\.annotations\.k8s-.*", NAMED, "a folder of dashboards"),
    (r"ConfigMap\.data\.INDEX_SOURCE", NAMED, "an address of the operator's"),
    (r"ConfigMap\.data\.RETRIEVAL_STORE_TLS_CA", ("removed",), "of a Milvus without TLS"),
    (CONTAINER + r"\.name", NAMED, "nothing refers to it"),
    (r"Certificate\.spec\.commonName", NAMED, "nothing refers to it"),
    (r"Certificate\.spec\.dnsNames\.#", ANY, "a name that our own pods do not use"),
    (r"Gateway\.spec\.gatewayClassName", NAMED, "the cluster's own"),
    (r".*OTEL_RESOURCE_ATTRIBUTES", ANY, "a name in traces"),
    (r"Deployment\..*\.args\.#", ("renamed",), "the name of a service in traces"),
    # what the image says too, or the server's default
    (CONTAINER + r"\.env(\.#)?", ("removed",), "HOME and NUMBA_CACHE_DIR are in the image"),
    (CONTAINER + r"\.env\.#\.(name|value)", NAMED, "folders below /tmp"),
    (CONTAINER + r"\.envFrom\.#", ("removed",), "the image has RETRIEVAL_MODEL_REPOSITORY"),
    (CONTAINER + r"\.envFrom\.#\.configMapRef\.name", NAMED, "the same"),
    (r"ConfigMap\.data\.RETRIEVAL_DRAIN_(DELAY_)?S", ("removed",), "the default is good"),
    (r"ConfigMap\.data\.BEAUTY_EXPORT_READ_IMAGES", ("removed",), "the default is the same"),
    (r"ConfigMap\.data\.CATALOGUE", NAMED, "a folder of the volume, for all jobs"),
    (r"Job\..*\.secret\.secretName", NAMED, "all have the certificate of one authority"),
    (r"NetworkPolicy\.spec\.podSelector\..*", ("removed",), "others have no port metrics"),
    # sizes and times that are a choice
    (CONTAINER + r"\.resources\..*", SCALED, "a size"),
    (POD + r"\.volumes\.#\.emptyDir\.sizeLimit", SCALED, "a size"),
    (r"PersistentVolumeClaim\.spec\.resources\.requests\.storage", SCALED, "a size"),
    (
        r"Deployment\..*(Ready|GracePeriod|Deadline|period|\.sleep\.s)(econds|Seconds)",
        SCALED,
        "a time",
    ),
    (r"Deployment\..*\.failureThreshold", SCALED, "a time"),
    (r"Deployment\..*\.whenUnsatisfiable", NAMED, "a zone without nodes"),
    (r"(Job|CronJob)\..*(AfterFinished|DeadlineSeconds|backoffLimit)", SCALED, "a time"),
    (r"Job\.spec\.parallelism", SCALED, "a number"),
    (r"HorizontalPodAutoscaler\.spec\.maxReplicas", SCALED, "a number"),
    (r"ScaledObject\.spec\.triggers\.#\.metadata\.threshold", SCALED, "a number"),
]
NUMBER = re.compile(r"(\d+)(\.\d+)?([a-zA-Z%]*)")
RENDERINGS = (
    ("gpu-prod", ALL),
    ("gpu-prod", (*INSIDE, "local-index")),
    ("gpu-prod", BEYOND),
    ("gpu-prod", CHANGING),
    ("gpu-prod", ()),
    ("cpu-dev", ("tls", "web", "client-tls")),
)
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutation:
    """A changed field.

    Attributes:
        rendering: that has the object, sound.
        target: the object.
        path: of the field.
        way: of the change, such as ``removed``.
        value: what the field says then; None if it is removed.
    """

    rendering: Manifests
    target: dict[str, Any]
    path: Path
    way: str
    value: Any

    def __str__(self) -> str:
        words = ".".join(map(str, self.path))
        shown = "" if self.way == "removed" else f" to {str(self.value)[:60]!r}"
        return f"{name_of(self.target)} {words} {self.way}{shown}"

    @property
    def place(self) -> str:
        """The field, the same for all objects of its kind."""
        words = [self.target["kind"], *("#" if isinstance(x, int) else x for x in self.path)]
        return ".".join(words)

    @property
    def is_elsewhere(self) -> bool:
        """Whether other checkers than the policies find it, or nobody needs to."""
        return any(
            self.way in ways and re.fullmatch(place, self.place)
            for place, ways, _ in NOT_FOUND_BY_POLICIES
        )

    def is_found(self) -> bool:
        """Whether a policy finds it; the schemas of fields, which are quick, are asked first."""
        changed = copy.deepcopy(self.target)
        node = changed
        for step in self.path[:-1]:
            node = node[step]
        if self.way == "removed":
            del node[self.path[-1]]
        else:
            node[self.path[-1]] = self.value
        try:
            if any(problems_of(changed)):
                return True
        except (KeyError, TypeError, AttributeError):
            return True  # no kind, or no name
        objects = [changed if each is self.target else each for each in self.rendering.objects]
        return bool(findings(replace(self.rendering, objects=objects)))


def mutations() -> Iterator[Mutation]:
    """Every change of every field, each once, although many renderings have it."""
    seen: set[str] = set()
    for overlay, parts in RENDERINGS:
        rendering = manifests(overlay, parts)
        others = values_by_place(rendering)
        for target in rendering.objects:
            for path, value in fields_of(target):
                mark = f"{overlay} {name_of(target)} {path} {json.dumps(value)}"
                if mark not in seen:
                    seen.add(mark)
                    place = Mutation(rendering, target, path, "", None).place
                    for way, changed in changes(value, others[place]):
                        yield Mutation(rendering, target, path, way, changed)


def fields_of(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field and item of an object, with its path."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*path, key), value
        if isinstance(value, dict | list):
            yield from fields_of(value, (*path, key))


def values_by_place(rendering: Manifests) -> dict[str, list[Any]]:
    """The values that a field has in the objects of its kind."""
    found: dict[str, list[Any]] = {}
    for target in rendering.objects:
        for path, value in fields_of(target):
            place = Mutation(rendering, target, path, "", None).place
            found.setdefault(place, []).append(value)
    return found


def changes(value: Any, others: list[Any]) -> Iterator[tuple[str, Any]]:
    """The ways to change a value: negated, tenfold, a tenth, another's, another name, removed."""
    yield "removed", None
    if isinstance(value, bool):
        yield "negated", not value
    elif isinstance(value, int) and value:
        yield "tenfold", value * 10
        yield "a tenth", max(value // 10, 0)
    elif isinstance(value, str):
        if (found := NUMBER.fullmatch(value)) and found[1]:
            yield "tenfold", f"{int(found[1]) * 10}{found[3]}"
        yield "renamed", f"{value}-other"
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        different = [each for each in others if each != value]
        yield from [("swapped", different[0])] if different else []


def main() -> None:
    """Try all, and print what is not found."""
    share: Counter[str] = Counter()
    for each in mutations():
        found = each.is_found()
        kind = "found" if found else "listed" if each.is_elsewhere else "not found"
        share[kind] += 1
        if not found:
            sys.stdout.write(f"{kind}: {each}\n")
    total = sum(share.values())
    sys.stdout.write(f"{share['found']} of {total} found, {share['found'] / total:.1%}; ")
    sys.stdout.write(f"{share['listed']} of the others are in the list, with a reason\n")


if __name__ == "__main__":
    main()
