"""The gRPC interface, version 1: ``retrieval.proto`` and the stubs generated from it."""
