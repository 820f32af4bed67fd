"""The process: settings, gRPC service, readiness, index watch.

May import: every other room of the server.
Door: `serve_command`, `Settings`, `setting_option`, `setting_parameter`, `health_of`.
"""
