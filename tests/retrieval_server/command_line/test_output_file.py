"""Files that a command writes: regular ones appear whole, everything else is written to."""

import os
import stat
import threading
from pathlib import Path

import pytest

from retrieval_server.command_line.output_file import (
    OutputError,
    check_output,
    output_file,
    same_outputs,
    write_output,
)


def test_a_new_file_appears_in_a_new_folder_with_the_mode_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / ("n" * 250 + ".csv")
    before = os.umask(0o027)
    try:
        write_output(path, "a\udcff")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"a?"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_file_keeps_its_mode_and_its_old_content_until_the_new_one_is_complete(
    tmp_path: Path,
) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("old")
    path.chmod(0o604)
    with pytest.raises(TypeError), output_file(path) as file:
        file.writelines([b"incomplete", "no bytes"])
    assert path.read_text() == "old"
    write_output(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, is_dangling: bool) -> None:
    target = tmp_path / "elsewhere" / "target"
    target.parent.mkdir()
    if not is_dangling:
        target.write_text("old")
    (tmp_path / "second").symlink_to("elsewhere/target")
    link = tmp_path / "link"
    link.symlink_to("second")
    write_output(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_output(fifo, "content")
    reader.join()
    assert read == ["content"]
    assert fifo.is_fifo()


def test_a_reader_that_closes_a_fifo_early_is_an_error_that_names_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: fifo.open("rb").close())
    reader.start()
    with pytest.raises(OutputError, match=f"{fifo}: Broken pipe"):
        write_output(fifo, "x" * 2**20)
    reader.join()


def test_a_device_is_written_to() -> None:
    write_output(Path("/dev/null"), "content")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match="/dev/full: No space left"):
        write_output(Path("/dev/full"), "content")


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_a_descriptor_is_written_to_where_it_is(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        file.write("header\n")
        file.flush()
        write_output(Path(folder) / str(file.fileno()), "content\n")
        file.write("footer\n")
    assert path.read_text() == "header\ncontent\nfooter\n"


def test_a_descriptor_that_is_not_open_for_writing_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.touch()
    with path.open() as file, pytest.raises(OutputError, match="not open for writing"):
        check_output(Path(f"/dev/fd/{file.fileno()}"))


def test_a_dash_is_standard_output_in_utf8(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    write_output(Path("-"), "τ\n")
    assert capsysbinary.readouterr().out == "τ\n".encode()


def test_what_cannot_be_an_output_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "below", "is not a folder"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path / ("n" * 300), "too long"),
    ):
        with pytest.raises(OutputError, match=reason):
            check_output(path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loop"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_written_in_place_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_text("old")
    tmp_path.chmod(0o500)
    try:
        write_output(path, "new")
        with pytest.raises(OutputError, match="no permission"):
            check_output(tmp_path / "other")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_text() == "new"


def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mounted"
    path.write_text("old content")

    def is_a_mount_point(self: Path, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", is_a_mount_point)
    write_output(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_outputs_of_one_place_are_found(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    file, link, null = tmp_path / "file", tmp_path / "link", Path("/dev/null")
    assert same_outputs({"--html": file, "--markdown": link}) == ("--html", "--markdown")
    assert same_outputs({"--html": Path("-"), "--json": Path("-")}) == ("--html", "--json")
    assert same_outputs({"--html": null, "--markdown": null, "--json": None}) is None
