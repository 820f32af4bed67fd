"""What an operator sees: Prometheus metrics, their endpoint, traces.

May import: errors, v1. Door: `Metrics`, `MetricsEndpoint`, `search_span`.
"""
