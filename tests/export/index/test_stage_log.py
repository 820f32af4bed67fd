"""What a killed build is believed to have finished."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from export.index.stage_log import StageLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stages.jsonl"


def test_entries_are_found_again_by_stage_in_their_order(path: Path) -> None:
    log = StageLog(path, "source")
    log.add("one", files=["a", "b"])
    log.add("two", row=0)
    log.add("two", row=4096, files=["c"])
    for each in (log, StageLog(path, "source")):
        assert each.find("one") == [{"files": ["a", "b"]}]
        assert [entry["row"] for entry in each.find("two")] == [0, 4096]
        assert each.find("three") == []
        assert each.files == {"a", "b", "c"}


def test_another_source_starts_from_nothing(path: Path) -> None:
    StageLog(path, "source").add("one")
    assert StageLog(path, "other").find("one") == []
    assert StageLog(path, "source").find("one") == []  # what is overwritten is gone


@pytest.mark.parametrize("boot_id", ["another", ""])
def test_what_may_not_be_on_the_disk_is_not_believed(path: Path, boot_id: str) -> None:
    """After another start of the machine, or where the system gives no id of it."""
    StageLog(path, "source", boot_id=None if boot_id else "").add("one")
    assert StageLog(path, "source", boot_id=boot_id).find("one") == []


def test_a_line_that_was_cut_off_is_dropped_and_does_not_spoil_the_next(path: Path) -> None:
    log = StageLog(path, "source")
    log.add("one", row=1)
    log.add("one", row=2)
    path.write_bytes(path.read_bytes()[:-3])
    again = StageLog(path, "source")
    assert again.find("one") == [{"row": 1}]
    again.add("one", row=3)
    assert StageLog(path, "source").find("one") == [{"row": 1}, {"row": 3}]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]\n", b"{}\n", b"null\n1\n"])
def test_a_file_that_is_no_log_starts_from_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    log = StageLog(path, "source")
    assert log.find("one") == []
    log.add("one", row=1)
    assert StageLog(path, "source").find("one") == [{"row": 1}]


def test_it_can_be_cleared(path: Path) -> None:
    log = StageLog(path, "source")
    log.add("one", files=["a"])
    log.clear()
    for each in (log, StageLog(path, "source")):
        assert (each.find("one"), each.files) == ([], set())


def test_threads_write_whole_lines(path: Path) -> None:
    log = StageLog(path, "source")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda row: log.add("one", row=row, more="x" * 5000), range(200)))
    found = StageLog(path, "source").find("one")
    assert sorted(entry["row"] for entry in found) == list(range(200))
