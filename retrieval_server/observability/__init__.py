"""What an operator sees: Prometheus metrics, their endpoint, traces.

May import: command_line, errors, version.
Door: `ServerMetrics`, `open_metrics_endpoint`, `RequestMetrics`, `start_tracing`.
"""
