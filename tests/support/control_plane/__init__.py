"""A control plane of Kubernetes on loopback: the real programs, built from Debian's source package.

`make control-plane-test` uses it. Doors: ``build``, ``running`` and ``overlays``.
"""
