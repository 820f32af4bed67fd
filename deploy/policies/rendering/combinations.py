"""Every overlay with every set of components that may be used together, rendered on all cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from itertools import combinations
from pathlib import Path

import yaml

from deploy.policies.rendering.kubectl import TOOLS, render
from deploy.policies.rendering.objects import DEPLOY, Manifests, Object

NEEDS = {"client-tls": "tls", "gateway": "client-tls", "changes": "client-tls"}
# Where the index comes from: one of them, or a volume whose index nobody changes.
SOURCES = ("changes", "image-volume", "local-index", "scale-out")
EXCLUDED = set(combinations(SOURCES, 2))
# A component comes after those whose objects it changes.
CHANGES = {
    "many-nodes": ("keda",),
    "client-tls": ("web",),
    "local-index": ("web",),
    "gateway": ("client-tls",),
    "scale-out": ("many-nodes",),
    "changes": ("client-tls", "monitoring"),
}
# Adds objects of its own, which these change alone: rendered with them, and with everything.
SEPARATE = {
    "web": {"tls", "client-tls", "local-index"},
    "scale-out": {"tls", "client-tls", "many-nodes", "tracing"},
    "changes": {"tls", "client-tls", "monitoring"},
}


@dataclass(frozen=True)
class Combination:
    """An overlay and the components that are added to it, in that order."""

    overlay: str
    components: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The overlay and the components, such as ``cpu-dev+tls``."""
        return "+".join((self.overlay, *self.components))


def overlays(deploy: Path = DEPLOY) -> tuple[str, ...]:
    """The names of the overlays of a tree, sorted."""
    return tuple(sorted(path.parent.name for path in deploy.glob("overlays/*/kustomization.yaml")))


def components(deploy: Path = DEPLOY) -> tuple[str, ...]:
    """The names of the components of a tree, each after those whose objects it changes."""
    found = sorted(path.parent.name for path in deploy.glob("components/*/kustomization.yaml"))
    order = TopologicalSorter({name: CHANGES.get(name, ()) for name in found})
    return tuple(name for name in order.static_order() if name in found)


def all_combinations(deploy: Path = DEPLOY) -> list[Combination]:
    """Every overlay of a tree with every set of components that may be used together.

    A component of ``SEPARATE`` is in those sets only where it can make a difference.
    """
    known = components(deploy)
    sets = [
        set(chosen)
        for count in range(len(known) + 1)
        for chosen in combinations(known, count)
        if all(NEEDS[each] in chosen for each in chosen if each in NEEDS)
        and not any(set(pair) <= set(chosen) for pair in EXCLUDED)
    ]
    largest = max(map(len, sets))
    rendered = [
        chosen
        for chosen in sets
        if len(chosen) == largest
        or all(chosen <= SEPARATE[each] | {each} for each in chosen if each in SEPARATE)
    ]
    return [
        Combination(overlay, tuple(name for name in known if name in chosen))
        for overlay in overlays(deploy)
        for chosen in rendered
    ]


@cache
def manifests(
    overlay: str,
    parts: tuple[str, ...] = (),
    deploy: Path = DEPLOY,
    namespace: str | None = None,
) -> Manifests:
    """Render an overlay with components added, in the order they are given.

    Args:
        overlay: its name.
        parts: names of the components.
        deploy: the tree.
        namespace: of all objects; that of the overlay if it is None.

    Raises:
        RuntimeError: with Kustomize's message, if it cannot be rendered.
    """
    name = Combination(overlay, parts).name
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS) as scratch:
        folder = Path(scratch).resolve()
        tree = os.path.relpath(deploy.resolve(), folder)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace or _namespace_of(deploy / "overlays" / overlay),
            "resources": [f"{tree}/overlays/{overlay}"],
            "components": [f"{tree}/components/{part}" for part in parts],
            "transformers": [f"{tree}/transformers"],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        try:
            text = render(folder)
        except RuntimeError as error:
            raise RuntimeError(f"{name} cannot be rendered: {error}") from error
    return Manifests(name, documents_in(text), deploy)


def render_all(chosen: Sequence[Combination], deploy: Path = DEPLOY) -> Iterator[Manifests]:
    """Render combinations on all cores, each yielded in its turn.

    Raises:
        RuntimeError: with Kustomize's message, if one cannot be rendered.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda each: manifests(each.overlay, each.components, deploy), chosen)


def _namespace_of(overlay: Path) -> str:
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text(encoding="utf-8"))
    return str(kustomization["namespace"])


def documents_in(text: str) -> list[Object]:
    """The objects of a rendered text; equal ones of all texts are the same object."""
    return [_document(each) for each in text.split("\n---\n")]


@cache
def _document(text: str) -> Object:
    document: Object = yaml.load(text, yaml.CSafeLoader)
    return document
