"""What a server did between two looks at its status: rates, and times by stage."""

from collections.abc import Sequence
from dataclasses import dataclass

from client.server_status import Activity, ServerStatus, Times

MEDIAN, HIGH = 0.5, 0.99  # the quantiles that are shown


@dataclass(frozen=True)
class StageTimes:
    """Times of a stage in an interval.

    Attributes:
        name: "search" for the whole, else the stage.
        count: how many there are.
        mean_s: mean in seconds; None without any.
        p50_s: median, as exact as the classes of the histogram are narrow; None without any.
        p99_s: 99 % are at most so long; likewise.
    """

    name: str
    count: int
    mean_s: float | None
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True)
class Interval:
    """What a server did in an interval, and its state at the end.

    Attributes:
        seconds: length of the interval, on the server's clock.
        answered_per_s: searches answered in a second.
        failed_per_s: searches that ended with an error.
        refused_per_s: requests refused, since the server was busy.
        in_progress: searches in progress.
        stages: times by stage, of those with any.
        engine: that computes descriptors.
        index_version: that is served.
        index_age_s: seconds since it was built.
        warnings: of the server.
    """

    seconds: float
    answered_per_s: float
    failed_per_s: float
    refused_per_s: float
    in_progress: int
    stages: tuple[StageTimes, ...]
    engine: str
    index_version: str
    index_age_s: float
    warnings: tuple[str, ...]


def interval(before: Activity | None, now: ServerStatus) -> Interval:
    """Say what a server did since an earlier look.

    Args:
        before: the earlier look; None for all that the server did since it started. A server that
            was started again in between has done what it did since then.
        now: the later look, of a server that reports its activity.
    """
    after = now.activity
    assert after is not None, "the caller has checked that the server reports it"
    if before is not None and before.uptime_s > after.uptime_s:
        before = None
    seconds = after.uptime_s - (before.uptime_s if before else 0.0)

    def per_s(later: int, earlier: int) -> float:
        return (later - earlier) / seconds if seconds > 0 else 0.0

    earlier = {times.name: times for times in before.times} if before else {}
    stages = (_stage(times, earlier.get(times.name)) for times in after.times)
    return Interval(
        seconds=seconds,
        answered_per_s=per_s(after.answered_count, before.answered_count if before else 0),
        failed_per_s=per_s(after.failed_count, before.failed_count if before else 0),
        refused_per_s=per_s(after.refused_count, before.refused_count if before else 0),
        in_progress=after.in_progress,
        stages=tuple(stage for stage in stages if stage.count),
        engine=now.engine,
        index_version=now.index_version,
        index_age_s=after.index_age_s,
        warnings=now.warnings,
    )


def _stage(after: Times, before: Times | None) -> StageTimes:
    counts, total_s = list(after.counts), after.total_s
    if before is not None and before.counts:
        counts = [later - earlier for later, earlier in zip(counts, before.counts, strict=True)]
        total_s -= before.total_s
    count = sum(counts)
    if not count:
        return StageTimes(after.name, 0, None, None, None)
    p50_s, p99_s = (_quantile(share, after.bounds_s, counts) for share in (MEDIAN, HIGH))
    return StageTimes(after.name, count, total_s / count, p50_s, p99_s)


def _quantile(share: float, bounds_s: Sequence[float], counts: Sequence[int]) -> float:
    """A quantile, as Prometheus interpolates it: linear in a class, the last bound above all."""
    rank, lower = share * sum(counts), 0.0
    for upper, count in zip(bounds_s, counts, strict=False):
        if count and rank <= count:
            return lower + (upper - lower) * rank / count
        rank, lower = rank - count, upper
    return lower
