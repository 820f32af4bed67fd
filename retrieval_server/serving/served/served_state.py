"""Metrics of what is being served, which are read with each scrape of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retrieval_server.observability.metrics import REFUSALS
from retrieval_server.serving.served.change_feed import ChangeFeed
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.version import VERSION


class Ready(Protocol):
    """Knows whether searches can be answered now."""

    @property
    def is_ready(self) -> bool:
        """Whether searches can be answered now."""


class ServedState(Collector):
    """The state of the server, which is read with each scrape of Prometheus.

    Args:
        served: holds the index and the engine.
        feed: follows the changes to the index.
        readiness: knows whether the engine answers.
    """

    def __init__(self, served: ServedIndex, feed: ChangeFeed, readiness: Ready) -> None:
        self._served, self._feed = served, feed
        self._readiness = readiness

    def collect(self) -> Iterable[Metric]:
        """Read the state now."""
        retriever = self._served.retriever
        bundle, engine = retriever.bundle, retriever.engine
        yield GaugeMetricFamily(
            "beauty_ready",
            "1 while searches can be answered, 0 while models or store fail or are others.",
            value=self._readiness.is_ready,
        )
        yield CounterMetricFamily(
            "beauty_engine_generations",
            "Events after which the engine was verified again, such as a lost connection.",
            value=engine.generation,
        )
        server = GaugeMetricFamily("beauty_server_info", "Always 1.", labels=("version", "engine"))
        server.add_metric((VERSION, engine.name), 1)
        yield server
        index = GaugeMetricFamily("beauty_index_info", "Always 1.", labels=("version", "profile"))
        index.add_metric((bundle.version, bundle.profile.name), 1)
        yield index
        yield GaugeMetricFamily(
            "beauty_index_built_timestamp_seconds",
            "When the index was built: the time of its manifest, in seconds since 1970.",
            value=bundle.built_at,
        )
        yield GaugeMetricFamily(
            "beauty_index_products", "Products of the index.", value=len(bundle)
        )
        yield GaugeMetricFamily(
            "beauty_index_changes",
            "Changes to the version of the index that searches see.",
            value=self._feed.pending,
        )
        yield GaugeMetricFamily(
            "beauty_index_change_lag_seconds",
            "For how long the log has had changes that searches do not see; 0 if they see all.",
            value=self._feed.lag_s,
        )
        yield GaugeMetricFamily(
            "beauty_index_compaction_failed",
            "1 while there are changes to compact, and the last attempt of this server has failed.",
            value=self._served.failed_compaction is not None,
        )
        refused = GaugeMetricFamily(
            "beauty_index_refused",
            "1 while the version that current names is not served, by cause; else 0.",
            labels=("cause",),
        )
        refusal = self._served.refusal
        for cause in dict.fromkeys(REFUSALS.values()):
            refused.add_metric((cause,), refusal is not None and refusal.cause == cause)
        yield refused
        levels = GaugeMetricFamily(
            "beauty_index_level_bytes",
            "Size of what a search reads; resident is true for what is kept in memory.",
            labels=("level", "resident"),
        )
        for level in retriever.search_levels:
            levels.add_metric((level.name, str(level.is_resident).lower()), level.bytes)
        yield levels
