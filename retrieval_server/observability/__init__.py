"""What an operator sees: Prometheus metrics, their endpoint, traces.

May import: command_line, errors, method_handlers, version.
Door: `ServerMetrics`, `open_metrics_endpoint`, `RequestMetrics`, `start_tracing`.
"""
