"""The metrics of the server; ``deploy/METRICS.md`` lists them as a table.

Counters and histograms change with each request, a few for each search and none for each row.
``serving/served_state.py`` reads the state of the server with each scrape. Every label has few
values.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from retrieval_server import errors

# An embedded search takes some 30 ms, one through a busy Triton up to seconds.
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STAGES = ("decode", "encode", "read", "rank", "refine")
QUEUES = ("decode", "memory", "encode", "read", "rank")
RELOADS = ("served", "refused")
COMPACTIONS = ("done", "failed")
REFUSALS: dict[type[Exception], str] = {
    errors.CurrentFileError: "current",
    errors.IndexLossError: "loss",
    errors.ModelMismatchError: "models",
    errors.ModelRepositoryError: "models",
    errors.IndexBundleError: "files",
    errors.EngineError: "engine",
    errors.StoreError: "store",
}
FAILURES: dict[type[errors.RetrievalError], str] = {
    errors.EngineUnavailableError: "unavailable",
    errors.EngineDeadlineError: "deadline",
    errors.ModelMismatchError: "models",
    errors.ModelRepositoryError: "models",
    errors.EngineError: "other",
}

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter


class ServerMetrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Counter(
            "beauty_requests",
            "gRPC requests answered, by status; each search or upsert of a stream is one.",
            ["method", "code"],
            registry=self.registry,
        )
        self.durations = Histogram(
            "beauty_request_duration_seconds",
            "Time from a request's arrival to its answer.",
            ["method"],
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "beauty_requests_in_flight",
            "gRPC requests in progress; each search or upsert of a stream is one.",
            ["method"],
            registry=self.registry,
        )
        self.stages = Histogram(
            "beauty_search_stage_duration_seconds",
            "Time that a search spent in a stage, waiting for a free worker or model included.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "beauty_searches_waiting",
            "Photos or searches that wait for their turn in a stage.",
            ["queue"],
            registry=self.registry,
        )
        self.together = Histogram(
            "beauty_searches_together",
            "Searches that a worker took together; in a large index they shared a scan.",
            buckets=(1, 2, 3, 4),
            registry=self.registry,
        )
        self.shed = Counter(
            "beauty_searches_shed",
            "Requests refused because they could not be answered in time.",
            ["overload"],
            registry=self.registry,
        )
        self.expected = Gauge(
            "beauty_search_expected_seconds",
            "Time that a new request is expected to take; 0 while a worker is idle.",
            ["kind"],
            registry=self.registry,
        )
        self.limit = Gauge(
            "beauty_searches_limit",
            "Searches in progress at most; further ones are refused.",
            registry=self.registry,
        )
        self.engine_failures = Counter(
            "beauty_engine_failures",
            "Searches and upserts that failed because the models did.",
            ["reason"],
            registry=self.registry,
        )
        self.reloads = Counter(
            "beauty_index_reloads",
            "Rebuilt indexes that took the place of the one served, or were refused.",
            ["outcome"],
            registry=self.registry,
        )
        self.compactions = Counter(
            "beauty_index_compactions",
            "Compactions that this server has started.",
            ["result"],
            registry=self.registry,
        )
        for outcome in RELOADS:
            self.reloads.labels(outcome)
        for result in COMPACTIONS:
            self.compactions.labels(result)
        for stage in STAGES:
            self.stages.labels(stage)
        for reason in FAILURES.values():
            self.engine_failures.labels(reason)

    def observe_stages(
        self, timings: Mapping[str, int], exemplar: dict[str, str] | None = None
    ) -> None:
        """Observe the times of a search.

        Args:
            timings: microseconds by stage, such as ``rank_us``.
            exemplar: names the trace of the search, if it is kept.
        """
        for stage in STAGES:
            if (microseconds := timings.get(f"{stage}_us")) is not None:
                self.stages.labels(stage).observe(microseconds / 1e6, exemplar)

    def count_failure(self, error: errors.RetrievalError) -> None:
        """Count an error if the engine or the models caused it."""
        reason = next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), None)
        if reason is not None:
            self.engine_failures.labels(reason).inc()
