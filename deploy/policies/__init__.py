"""Policies: what the Kubernetes manifests have to meet, in every combination of their components.

May import the settings and command lines of our rooms; none of them imports it. Needs extra `dev`.
Door: ``python -m deploy.policies``, or ``registry.findings`` for one rendering.
"""
