"""Policies: what the Kubernetes manifests have to meet, in every combination of their parts.

May import the command lines and settings of our rooms, which do not import it.
Door: ``services.findings``, everything that is wrong with one rendering.
"""
