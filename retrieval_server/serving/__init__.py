"""The process: settings, gRPC service, readiness, index watch.

May import: every other room of the server. Door: `start_server`, `Settings`.
"""
