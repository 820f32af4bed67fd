"""Rendering: the objects that a cluster would get of the Kustomize tree, in every combination.

Imports none of our rooms. Door: ``Manifests``, the objects of one combination, and ``render_all``.
"""

from deploy.policies.rendering.combinations import (
    Combination,
    all_combinations,
    components,
    manifests,
    overlays,
    render_all,
)
from deploy.policies.rendering.kubectl import ROOT
from deploy.policies.rendering.objects import DEPLOY, Manifests, Object, Pods, is_hashed, name_of

__all__ = [
    "DEPLOY",
    "ROOT",
    "Combination",
    "Manifests",
    "Object",
    "Pods",
    "all_combinations",
    "components",
    "is_hashed",
    "manifests",
    "name_of",
    "overlays",
    "render_all",
]
