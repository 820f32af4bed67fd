"""Visual product search over memory-mapped database descriptors, served over gRPC.

The formats of the index are defined here, the search runs here, the protocol is defined in ``v1``.
Importing the package imports nothing else: the client needs the stubs only.
"""
