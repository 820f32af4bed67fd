"""Rendering: the objects that a cluster would get of the Kustomize tree, in every combination.

Imports none of our rooms. Door: ``Manifests``, the objects of one combination, and ``render_all``.
"""
