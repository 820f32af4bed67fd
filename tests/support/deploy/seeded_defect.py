"""A fault in a manifest: where it is, what stands there then, and who has to find it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deploy.policies.rendering import Manifests, manifests

REMOVED: Any = object()


@dataclass(frozen=True)
class Defect:
    """A fault and where it is.

    Attributes:
        name: what a reviewer would call it.
        target: the object, as ``Kind/name``.
        path: in it; a list's item by its ``name`` or number, ``-`` for one more.
        value: what stands there then, or a function of what stood there.
        found_by: number of the policy, ``references`` or ``schema``.
        named: object in the finding, if it is not the target.
        overlay: rendering to damage, and its components.
        parts: see ``overlay``.
    """

    name: str
    target: str
    path: str
    value: Any
    found_by: int | str
    named: str = ""
    overlay: str = "cpu-dev"
    parts: tuple[str, ...] = ()

    def sound(self) -> Manifests:
        """The rendering without the fault."""
        return manifests(self.overlay, self.parts)

    def damaged(self) -> Manifests:
        """The rendering with the fault in it."""
        sound = self.sound()
        target = sound.get(self.target)
        changed = copy.deepcopy(target)
        patch(changed, self.path.split("/") if self.path else [], self.value)
        objects = [changed if each is target else each for each in sound.objects]
        return replace(sound, objects=[each for each in objects if each])


def patch(node: Any, path: list[str], value: Any) -> None:
    """Set or remove what stands at a path."""
    if not path:
        node.clear()
        return
    *way, last = path
    for step in way:
        node = node[key(node, step)]
    if last == "-":
        node.append(value)
    elif value is REMOVED:
        del node[key(node, last)]
    else:
        step = key(node, last)
        node[step] = value(node[step]) if callable(value) else value


def key(node: Any, step: str) -> Any:
    """The key of a step: in a list, the position of the item with that name."""
    step = step.replace("~", "/")
    if not isinstance(node, list):
        return step
    if step.isdecimal():
        return int(step)
    names = [each.get("name") if isinstance(each, dict) else each for each in node]
    return names.index(step)


def without(flag: str) -> Callable[[list[str]], list[str]]:
    """The change of Triton's arguments that drops one of them."""
    return lambda arguments: [each for each in arguments if not each.startswith(f"--{flag}")]
