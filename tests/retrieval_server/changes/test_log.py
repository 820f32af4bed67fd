"""The log of changes: what was told to be durable is there after every crash, and nothing half."""

import logging
from pathlib import Path

import pytest

from retrieval_server.changes import log_writer
from retrieval_server.changes.log_reader import LogReader, LogRewrittenError
from retrieval_server.changes.log_writer import LogWriter, WriterLock
from retrieval_server.changes.segment import HEADER_BYTES, segment_names
from retrieval_server.errors import ChangeLogError, ChangeWriteError, NotWriterError
from tests.support.faulty_files import CrashError, FaultyFiles

VERSION = "tiny-0123456789ab"
GROUPS = [[b"a", b"b" * 30], [b"c" * 5000], [b"d", b"", b"f"], [b"g" * 200]]
STEPS = 60  # more than the writer takes for all of them


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "SEGMENT_BYTES", 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "changes" / VERSION


def written(folder: Path) -> list[bytes]:
    return LogReader(folder, VERSION).read()


def flat(groups: list[list[bytes]]) -> list[bytes]:
    return [change for group in groups for change in group]


def write_until_crash(folder: Path, files: FaultyFiles) -> int:
    """Write all groups; how many were acknowledged."""
    acknowledged = 0
    try:
        writer = LogWriter(folder, VERSION, files)
        for group in GROUPS:
            writer.append(group)
            acknowledged += 1
    except CrashError:
        pass
    return acknowledged


def test_a_log_gives_back_its_changes_with_their_positions(folder: Path) -> None:
    writer = LogWriter(folder, VERSION)
    assert [writer.append(group) for group in GROUPS] == [2, 3, 6, 7]
    assert segment_names(folder) == ["00000000000000000001.log", "00000000000000000004.log"]
    reader = LogReader(folder, VERSION)
    assert reader.read() == flat(GROUPS)
    assert reader.position == 7
    writer.append([b"later"])
    assert (reader.read(), reader.read()) == ([b"later"], [])


@pytest.mark.parametrize("after", ["kill", "power", "zeros"])
def test_every_crash_leaves_what_was_acknowledged_and_no_part_of_a_group(
    tmp_path: Path, after: str
) -> None:
    total = FaultyFiles()
    assert write_until_crash(tmp_path / "changes" / VERSION, total) == len(GROUPS)
    assert 20 < total.steps < STEPS
    for step in range(1, total.steps + 1):
        root = tmp_path / f"{step}"
        root.mkdir()
        folder, files = root / "changes" / VERSION, FaultyFiles(step)
        acknowledged = write_until_crash(folder, files)
        if after != "kill":
            files.lose_power(zeros=after == "zeros")
        seen = written(folder)
        whole = [flat(GROUPS[:count]) for count in range(acknowledged, len(GROUPS) + 1)]
        assert seen in whole, step
        successor = LogWriter(folder, VERSION)
        assert successor.append([b"next"]) == len(seen) + 1
        assert written(folder) == [*seen, b"next"]


def test_a_crash_of_the_successor_loses_nothing_either(tmp_path: Path) -> None:
    for step in range(1, 12):
        folder = tmp_path / f"{step}" / "changes" / VERSION
        folder.parent.parent.mkdir()
        LogWriter(folder, VERSION).append(GROUPS[0])
        (segment,) = folder.iterdir()
        segment.write_bytes(segment.read_bytes() + b"CHGStorn")
        files = FaultyFiles(step)
        acknowledged = write_until_crash(folder, files)
        files.lose_power(zeros=False)
        assert written(folder)[: 2 + len(flat(GROUPS[:acknowledged]))] == flat(
            [GROUPS[0], *GROUPS[:acknowledged]]
        )


def test_a_full_disk_at_any_step_refuses_the_group_and_the_next_try_writes_it_once(
    tmp_path: Path,
) -> None:
    for step in range(1, STEPS):
        root = tmp_path / f"{step}"
        root.mkdir()
        folder, files = root / "changes" / VERSION, FaultyFiles(step, is_crash=False)
        reader = LogReader(folder, VERSION)
        writer = LogWriter(folder, VERSION, files)
        for number, group in enumerate(GROUPS):
            problem = _problem_of(writer, group)
            if problem:
                assert "No space left on device" in problem
                assert LogWriter(folder, VERSION).position == len(flat(GROUPS[:number]))
                writer.append(group)
        assert written(folder) == flat(GROUPS), step
        assert reader.read() == flat(GROUPS)


def _problem_of(writer: LogWriter, group: list[bytes]) -> str:
    """Write a group; what is said if it cannot be written."""
    try:
        writer.append(group)
    except ChangeWriteError as error:
        return str(error)
    return ""


def test_a_torn_tail_is_cut_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    LogWriter(folder, VERSION).append(GROUPS[0])
    (segment,) = folder.iterdir()
    whole = segment.read_bytes()
    for torn in (whole[HEADER_BYTES:-1], b"x", bytes(5000)):
        caplog.clear()
        segment.write_bytes(whole + torn)
        assert written(folder) == GROUPS[0]
        with caplog.at_level(logging.WARNING):
            LogWriter(folder, VERSION)
        (record,) = caplog.records
        assert f"{len(torn):,} bytes" in record.getMessage()
        assert segment.read_bytes() == whole


def test_a_damaged_middle_is_refused_with_its_position(folder: Path) -> None:
    writer = LogWriter(folder, VERSION)
    for group in ([b"one"], [b"two"], [b"three"]):
        writer.append(group)
    (segment,) = folder.iterdir()
    whole = segment.read_bytes()
    first = whole.index(b"CHGS", HEADER_BYTES + 1)
    for place in range(first, whole.index(b"CHGS", first + 1)):
        segment.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ChangeLogError, match=f"is damaged at byte {first}, behind change 1"):
            written(folder)
        with pytest.raises(ChangeLogError, match="is damaged"):
            LogWriter(folder, VERSION)


def test_a_missing_renamed_or_foreign_segment_is_refused(folder: Path) -> None:
    writer = LogWriter(folder, VERSION)
    for group in GROUPS:
        writer.append(group)
    first, second = (folder / name for name in segment_names(folder))
    with pytest.raises(ChangeLogError, match="another version of the index than other"):
        LogReader(folder, "other").read()
    content = first.read_bytes()
    first.unlink()
    with pytest.raises(ChangeLogError, match=r"has no beginning.*0004\.log continues"):
        written(folder)
    first.write_bytes(content)
    second.rename(folder / "00000000000000000009.log")
    with pytest.raises(ChangeLogError, match="give it back its own name"):
        written(folder)


def test_a_newer_format_is_refused_in_one_line(folder: Path) -> None:
    LogWriter(folder, VERSION).append([b"one"])
    (segment,) = folder.iterdir()
    content = bytearray(segment.read_bytes())
    content[8] = 2
    segment.write_bytes(content)
    with pytest.raises(ChangeLogError, match="has format 2, this program reads 1") as caught:
        written(folder)
    assert "\n" not in str(caught.value)


def test_a_reader_notices_a_log_that_was_written_anew(folder: Path) -> None:
    LogWriter(folder, VERSION).append([b"one"])
    (segment,) = folder.iterdir()
    before = segment.read_bytes()
    LogWriter(folder, VERSION).append([b"lost"])
    reader = LogReader(folder, VERSION)
    assert reader.read() == [b"one", b"lost"]
    segment.write_bytes(before)
    with pytest.raises(LogRewrittenError):
        reader.read()
    LogWriter(folder, VERSION).append([b"else"])
    with pytest.raises(LogRewrittenError):
        reader.read()
    assert written(folder) == [b"one", b"else"]


def test_one_process_writes_at_a_time(folder: Path) -> None:
    first = WriterLock(folder.parent)
    with pytest.raises(NotWriterError, match=r"Another server writes .*process"):
        WriterLock(folder.parent)
    first.close()
    WriterLock(folder.parent).close()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChangeWriteError, match=r"Cannot write .*writer\.lock"):
        WriterLock(tmp_path / "file")
