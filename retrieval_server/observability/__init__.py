"""What an operator sees: Prometheus metrics, their endpoint, traces.

May import: errors, version.
Door: `ServerMetrics`, `open_metrics_endpoint`, `RequestMetrics`, `start_tracing`.
"""
