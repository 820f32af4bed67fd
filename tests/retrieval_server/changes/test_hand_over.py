"""The switch to a compacted version loses no change, and is made whole or not at all."""

from contextlib import closing
from pathlib import Path

import pytest

from retrieval_server.changes.hand_over import (
    CompactedVersion,
    Switch,
    offer,
    offered,
    require_current,
    withdraw,
)
from retrieval_server.changes.log_reader import LogReader
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.changes.segment import segment_names
from retrieval_server.errors import ChangeLogError, ChangeWriteError
from retrieval_server.index.changes_folder import has_changes
from retrieval_server.index.publish import approved_version, current_version, make_current
from retrieval_server.storage.files import SYSTEM_FILES, Files
from tests.support.faulty_files import CrashError, FaultyFiles

OLD, NEW = "tiny-0123456789ab", "tiny-ba9876543210"
TAKEN, ARRIVED, LATER = [b"one", b"two", b"three"], [b"four" * 900, b"five"], [b"six"]
STEPS = 40  # more than a switch takes


class Index:
    """An index folder whose version is compacted up to its third change, and has two more."""

    def __init__(self, root: Path, new: str, *, has_former: bool) -> None:
        self.root = root
        root.mkdir()
        make_current(root, OLD)
        if has_former:
            self.write(NEW, [b"former"])
        self.write(OLD, TAKEN)
        place = self.reader(OLD).place
        assert place is not None
        self.compacted = CompactedVersion(new, OLD, place)
        self.write(OLD, ARRIVED)
        self.arrived = ARRIVED

    def switch(self, files: Files = SYSTEM_FILES) -> None:
        """Make the switch while a change arrives, unless the version stays the same."""
        with closing(Switch(self.root, self.compacted, files)) as switching:
            if self.compacted.version != OLD:
                switching.copy()
                self.write(OLD, [b"between"])
                self.arrived = [*self.arrived, b"between"]
            switching.copy()
            switching.finish()

    def folder(self, version: str) -> Path:
        return self.root / "changes" / version

    def write(self, version: str, changes: list[bytes]) -> int:
        writer = LogWriter(self.folder(version), version)
        position = writer.append(changes)
        writer.close()
        return position

    def reader(self, version: str) -> LogReader:
        reader = LogReader(self.folder(version), version)
        reader.read()
        return reader

    def written(self, version: str) -> list[bytes]:
        return LogReader(self.folder(version), version).read()

    def check(self) -> bool:
        """Every change is there, whichever version is current; whether that is the new one."""
        current = current_version(self.root)
        if current == OLD and OLD != self.compacted.version:
            assert self.written(OLD) == TAKEN + self.arrived
            return False
        if current == OLD and self.written(OLD) == TAKEN + self.arrived:
            return False
        assert current == self.compacted.version
        assert self.written(current) == self.arrived
        assert self.reader(current).position >= 5
        return True


@pytest.mark.parametrize("after", ["full disk", "kill", "power", "zeros"])
@pytest.mark.parametrize(
    ("new", "has_former"),
    [(NEW, False), (NEW, True), (OLD, False)],
    ids=["a new version", "one that was current before", "the same version"],
)
def test_every_crash_leaves_a_current_version_with_every_change(
    tmp_path: Path, new: str, has_former: bool, after: str
) -> None:
    total = FaultyFiles()
    index = Index(tmp_path / "whole", new, has_former=has_former)
    index.switch(total)
    assert index.check()
    assert 10 < total.steps < STEPS
    outcomes = set()
    for step in range(1, total.steps + 1):
        index = Index(tmp_path / f"{step}", new, has_former=has_former)
        files = FaultyFiles(step, is_crash=after != "full disk")
        with pytest.raises((CrashError, ChangeWriteError)):
            index.switch(files)
        if after in {"power", "zeros"}:
            files.lose_power(zeros=after == "zeros")
        outcomes.add(index.check())
        if not index.check():
            index.switch()
        assert index.check()
        position = index.reader(new).position
        assert index.write(new, LATER) == position + 1
        assert index.written(new) == index.arrived + LATER
    assert outcomes >= ({False} if after in {"power", "zeros"} else {False, True})


def test_a_switch_keeps_the_positions_of_what_has_arrived(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    index.switch()
    reader = index.reader(NEW)
    assert (reader.start, reader.position) == (3, 6)
    assert approved_version(index.root) == NEW


def test_a_version_that_comes_back_does_not_get_its_former_changes_back(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=True)
    index.write(NEW, [b"more"] * 7)
    index.switch()
    assert index.written(NEW) == index.arrived
    reader = index.reader(NEW)
    assert (reader.start, reader.position) == (8, 11), "positions only grow"
    assert segment_names(index.folder(NEW)) == ["00000000000000000009.log"]


def test_a_version_without_new_changes_has_none_but_their_positions_go_on(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    place = index.reader(OLD).place
    assert place is not None
    with closing(Switch(index.root, CompactedVersion(NEW, OLD, place))) as switching:
        assert switching.copy() == 0
        switching.finish()
    assert not has_changes(index.root / NEW)
    assert has_changes(index.root / OLD)
    assert index.write(NEW, LATER) == 6
    assert has_changes(index.root / NEW)


def test_changes_may_arrive_between_two_copies(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    with closing(Switch(index.root, index.compacted)) as switching:
        assert switching.copy() == len(ARRIVED)
        assert not index.check(), "nothing is current before the end"
        index.write(OLD, LATER)
        assert (switching.copy(), switching.copy()) == (len(LATER), 0)
        switching.finish()
    assert current_version(index.root) == NEW
    assert index.written(NEW) == ARRIVED + LATER
    assert index.reader(NEW).position == index.reader(OLD).position


def test_a_change_that_was_copied_and_then_not_written_is_no_part_of_the_version(
    tmp_path: Path,
) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    (segment,) = index.folder(OLD).iterdir()
    durable = segment.read_bytes()
    index.write(OLD, LATER)
    with closing(Switch(index.root, index.compacted)) as switching:
        switching.copy()
        segment.write_bytes(durable)  # as a writer does whose disk is full
        with pytest.raises(ChangeLogError, match="another log"):
            switching.copy()
    assert not index.check()
    index.switch()
    assert index.written(NEW) == index.arrived


def test_a_version_of_another_base_or_another_log_is_refused(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    make_current(index.root, "other")
    with pytest.raises(ChangeLogError, match="but other is current"):
        index.switch()
    make_current(index.root, OLD)
    (segment,) = index.folder(OLD).iterdir()
    segment.unlink()
    index.write(OLD, [b"other", b"log", b"now"])
    with pytest.raises(ChangeLogError, match="another log"):
        index.switch()
    assert current_version(index.root) == OLD


def test_an_offer_is_read_as_it_was_written_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    assert offered(index.root) is None
    offer(index.root, index.compacted)
    assert offered(index.root) == index.compacted
    path = index.root / "changes" / "compacted.json"
    for damaged in ("", "{}", "[1]", path.read_text().replace(OLD, "x").replace("3", '"3"')):
        path.write_text(damaged)
        with pytest.raises(ChangeLogError, match=r"Cannot read .*compacted\.json"):
            offered(index.root)
    withdraw(index.root)
    withdraw(index.root)
    assert offered(index.root) is None


def test_no_change_goes_to_a_version_that_is_not_current(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", NEW, has_former=False)
    require_current(index.root, OLD)
    with pytest.raises(ChangeWriteError, match="has a new version"):
        require_current(index.root, NEW)
