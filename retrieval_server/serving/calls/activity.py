"""What the server has done since it started, for those who watch it without Prometheus.

The figures are the metrics': nothing is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from retrieval_server.observability.metrics import STAGES, ServerMetrics
from retrieval_server.v1 import retrieval_pb2 as pb

SEARCH = "Search"  # the method; each search of a stream is one
OK = "OK"


class ActivitySource:
    """Reads what the server has done from its metrics.

    Args:
        metrics: of the server that has just started.
    """

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics
        self._started = time.monotonic()

    def read(self, built_at: float) -> pb.Activity:
        """What the server has done until now.

        Args:
            built_at: when the served index was built, in seconds since 1970.
        """
        metrics = self._metrics
        searches = _samples(metrics.requests, "_total", method=SEARCH)
        answered = _sum(each for each in searches if each.labels["code"] == OK)
        return pb.Activity(
            uptime_s=time.monotonic() - self._started,
            answered_count=answered,
            failed_count=_sum(searches) - answered,
            refused_count=_sum(_samples(metrics.shed, "_total")),
            in_progress=_sum(_samples(metrics.in_flight, "", method=SEARCH)),
            times=[
                _times(SEARCH.lower(), metrics.durations, method=SEARCH),
                *(_times(stage, metrics.stages, stage=stage) for stage in STAGES),
            ],
            index_age_s=max(0.0, time.time() - built_at),
        )


def _samples(metric: MetricWrapperBase, suffix: str, **labels: str) -> list[Sample]:
    """The samples of a metric whose names end so and that have some labels."""
    return [
        sample
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + suffix and labels.items() <= sample.labels.items()
    ]


def _sum(samples: Iterable[Sample]) -> int:
    return int(sum(sample.value for sample in samples))


def _times(name: str, histogram: MetricWrapperBase, **labels: str) -> pb.Times:
    buckets = _samples(histogram, "_bucket", **labels)
    below = [0.0, *(bucket.value for bucket in buckets)]  # Prometheus counts up to each end
    return pb.Times(
        name=name,
        bounds_s=[float(bucket.labels["le"]) for bucket in buckets[:-1]],
        counts=[int(upper - lower) for lower, upper in pairwise(below)],
        total_s=sum(sample.value for sample in _samples(histogram, "_sum", **labels)),
    )
