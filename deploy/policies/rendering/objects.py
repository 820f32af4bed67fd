"""The manifests as a cluster would get them: rendered, read, and looked up by kind and name."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import yaml

from deploy.policies.rendering.kubectl import render

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
OVERLAYS = tuple(sorted(path.parent.name for path in DEPLOY.glob("overlays/*/kustomization.yaml")))
COMPONENTS = tuple(
    sorted(path.parent.name for path in DEPLOY.glob("components/*/kustomization.yaml"))
)
SCRATCH = ROOT / "build" / "deploy_checks"
WORKLOADS = ("Deployment", "Job", "CronJob")
APART = {("client-tls", "gateway")}  # TLS ends in the one or in the other
NEEDS = {"client-tls": "tls"}

Object = dict[str, Any]


@dataclass(frozen=True)
class Pods:
    """The pods of one workload.

    Attributes:
        owner: ``Deployment/triton``, say.
        labels: of each pod.
        spec: the pod's.
    """

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def main(self) -> Object:
        return self.spec["containers"][0]


@dataclass(frozen=True)
class Manifests:
    """The objects of one overlay with some components.

    Attributes:
        name: which.
        objects: as they were rendered.
    """

    name: str
    objects: list[Object]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def find(self, kind: str, name: str) -> Object | None:
        found = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found[0] if found else None

    def get(self, reference: str) -> Object:
        """An object by ``Kind/name``; of a generated one, the name without its hash."""
        kind, name = reference.split("/")
        for each in self.of_kind(kind):
            if each["metadata"]["name"] == name or is_hashed(each["metadata"]["name"], name):
                return each
        raise LookupError(f"{self.name} has no {reference}")

    def pods(self, *names: str) -> list[Pods]:
        """The pods of every workload, or of those of some names."""
        found = [pods_of(each) for each in self.of_kind(*WORKLOADS)]
        return [each for each in found if not names or each.owner.split("/")[1] in names]

    def settings(self) -> dict[str, str]:
        """What the ConfigMaps of the retrieval server say."""
        names = ("models", "triton", "retrieval")
        return dict(chain(*(self.get(f"ConfigMap/{each}")["data"].items() for each in names)))


def is_hashed(name: str, stem: str) -> bool:
    """Whether Kustomize made a name of a stem and a hash."""
    return name.rpartition("-")[0] == stem and len(name) == len(stem) + 11


def pods_of(workload: Object) -> Pods:
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec["template"]
    owner = f"{workload['kind']}/{workload['metadata']['name']}"
    return Pods(owner, template["metadata"].get("labels", {}), template["spec"])


def all_combinations() -> list[tuple[str, tuple[str, ...]]]:
    """Every overlay with every set of components that may stand together."""
    chosen = [
        parts
        for count in range(len(COMPONENTS) + 1)
        for parts in combinations(COMPONENTS, count)
        if all(NEEDS[part] in parts for part in parts if part in NEEDS)
        and not any(set(pair) <= set(parts) for pair in APART)
    ]
    return [(overlay, parts) for overlay in OVERLAYS for parts in chosen]


@cache
def manifests(overlay: str, parts: tuple[str, ...] = ()) -> Manifests:
    """Render an overlay with components added, in the order they are given.

    The objects are shared: copy before a change.
    """
    name = "+".join((overlay, *parts))
    folder = SCRATCH / "combinations" / f"{name}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "kustomization.yaml"
    deploy = os.path.relpath(DEPLOY, folder)
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [f"{deploy}/overlays/{overlay}"],
                "components": [f"{deploy}/components/{part}" for part in parts],
            }
        )
    )
    try:
        return Manifests(name, list(yaml.load_all(render(folder), yaml.CSafeLoader)))
    finally:
        path.unlink()
        folder.rmdir()


def render_all() -> list[Manifests]:
    """Every combination, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda each: manifests(*each), all_combinations()))


def documents(folder: Path) -> Iterator[tuple[Path, Object]]:
    """Every YAML document of the sources."""
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict):  # a list is a JSON patch
                yield path, document


def check_programs(environment: str) -> Path:
    """The programs of a check's environment, which ``make`` sets up when it is not there."""
    target = f"build/deploy_checks/{environment}/.installed"
    made = subprocess.run(
        ["make", "--silent", target, f"PYTHON={sys.executable}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return ROOT / "build" / "deploy_checks" / environment / "bin"


def run_check(environment: str, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of a check's environment."""
    program = check_programs(environment) / command[0]
    return subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, **options
    )


def validate(objects: Sequence[Object], version: str) -> list[list[str]]:
    """Findings of the schemas, a list for each object."""
    import json

    script = str(DEPLOY / "checks" / "validate.py")
    done = run_check("schemas", "python", script, "--version", version, input=json.dumps(objects))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
