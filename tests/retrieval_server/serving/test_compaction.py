"""The writer compacts by itself: in a process of its own, one at a time, again after a failure."""

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from export.index.compact import compact
from export.output.folder import lock_folder
from retrieval_server.changes.hand_over import is_offered
from retrieval_server.index.publish import current_version, finished_versions
from retrieval_server.serving.served import compaction
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import Served, ServedBy

ENOUGH = 2


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not look by itself, so that nothing happens between two steps of a test."""
    monkeypatch.setattr(compaction, "LOOK_EVERY_S", 10 * PATIENCE_S)


def change(served: Served) -> None:
    """Delete as many products as are enough for a compaction."""
    first = served.stub.GetStatus(pb.GetStatusRequest()).product_count
    ids = [f"p0{family}0{member}" for family in range(8) for member in range(5)][-first:]
    served.stub.Delete(pb.DeleteRequest(product_ids=ids[:ENOUGH]), timeout=PATIENCE_S)


def status(served: Served) -> pb.GetStatusResponse:
    return served.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)


def counted(served: Served, result: str) -> float | None:
    registry = served.running.index_watch._metrics.registry
    return registry.get_sample_value("beauty_index_compactions_total", {"result": result})


def is_failed(served: Served) -> float | None:
    registry = served.running.index_watch._metrics.registry
    return registry.get_sample_value("beauty_index_compaction_failed")


def children_at_the_lowest_priority() -> list[int]:
    children = [each.read_text().split() for each in Path("/proc/self/task").glob("*/children")]
    return [
        int(pid)
        for pids in children
        for pid in pids
        if os.getpriority(os.PRIO_PROCESS, int(pid)) == compaction.LOWEST_PRIORITY
    ]


@pytest.mark.usefixtures("by_hand")
def test_the_writer_compacts_enough_changes_and_tries_again_after_a_pause_if_that_fails(
    served_by: ServedBy,
    tiny_index_copy: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"writable": True, "reload_every_s": 0.05, "compact_after": ENOUGH}
    with served_by(index=tiny_index_copy, keep_versions=1, **settings) as writer:
        compacting = writer.running.compaction
        change(writer)
        replaced = compact(tiny_index_copy).folder.name
        writer.result(compacting.poll())
        assert counted(writer, "failed") == 0, "there are no changes"
        change(writer)
        with lock_folder(tiny_index_copy, ""):
            writer.result(compacting.poll())
            (told,) = status(writer).warnings
            assert "has failed: Another build is at work" in told
            assert is_failed(writer) == 1
            assert any("next attempt comes in 600 s" in each.message for each in caplog.records)
            writer.result(compacting.poll())
            assert counted(writer, "failed") == 1, "not at once"
        for program, told in (("/nowhere/python", "No such file"), ("false", "exit status 1.")):
            compacting._again_at = 0.0
            with monkeypatch.context() as patch:
                patch.setattr(compaction.sys, "executable", program)
                writer.result(compacting.poll())
            assert told in status(writer).warnings[0]
        compacting._again_at = 0.0
        writer.result(compacting.poll())
        assert (counted(writer, "done"), counted(writer, "failed")) == (1, 3)
        now = status(writer)
        assert (now.changes.position, now.changes.pending_count) == (2 * ENOUGH, 0)
        assert (list(now.warnings), is_failed(writer)) == ([], 0)
    current = current_version(tiny_index_copy)
    assert now.index_version == current
    assert set(finished_versions(tiny_index_copy)) == {replaced, current}, "older ones are removed"


def test_a_server_that_stops_ends_its_compaction_and_no_change_is_lost(
    served_by: ServedBy, tiny_index_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended while it waits for the server, which does not look for the new version."""
    monkeypatch.setattr(compaction, "LOOK_EVERY_S", 0.05)
    version = current_version(tiny_index_copy)
    settings = {"writable": True, "reload_every_s": 1000.0, "compact_after": ENOUGH}
    with served_by(index=tiny_index_copy, **settings) as writer:
        change(writer)
        eventually(lambda: is_offered(tiny_index_copy))
        assert status(writer).changes.compacting
        with served_by(index=tiny_index_copy, **settings) as other:
            assert not status(other).changes.compacting, "it is not the writer"
        (process,) = children_at_the_lowest_priority()
    assert not Path(f"/proc/{process}").exists()
    with lock_folder(tiny_index_copy, ""):
        assert current_version(tiny_index_copy) == version
    assert compact(tiny_index_copy).changes == ENOUGH


@pytest.fixture
def without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> object:
        if name == "scikit-learn":
            raise PackageNotFoundError(name)
        return distribution(name)

    monkeypatch.setattr(compaction, "distribution", found)


def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    return (each.message for each in caplog.records if "by themselves" in each.message)


@pytest.mark.usefixtures("without_scikit_learn")
def test_a_writer_without_the_packages_says_so_once_and_takes_changes(
    served_by: ServedBy, tiny_index_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with served_by(index=tiny_index_copy, writable=True, compact_after=ENOUGH) as writer:
        (told,) = warnings(caplog)
        assert "needs scikit-learn; install it with: pip install '.[index]'" in told
        change(writer)
        assert status(writer).changes.pending_count == ENOUGH
        assert not writer.running.compaction.polling.is_running


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"writable": True, "reload_every_s": 0}, "--reload-every-s is 0"),
        ({"writable": True, "compact_after": 0}, None),
        ({"reload_every_s": 0}, None),
    ],
)
def test_what_keeps_a_server_from_compacting_is_told_at_its_start(
    settings: dict[str, float],
    told: str | None,
    served_by: ServedBy,
    tiny_index_copy: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served_by(index=tiny_index_copy, **settings) as server:
        assert not server.running.compaction.polling.is_running
    assert [told in each for each in warnings(caplog)] == ([True] if told else [])
