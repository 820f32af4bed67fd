"""A watched file is read again when it has changed, and only then."""

from pathlib import Path

from retrieval_server.access.watched_files import WatchedFiles
from tests.support.access import replace


def test_watched_files_are_read_once_while_they_stay_as_they_are(tmp_path: Path) -> None:
    path, reads = tmp_path / "file", []
    path.write_text("one")

    def read() -> str:
        reads.append(path.read_text())
        return reads[-1]

    watched = WatchedFiles((path,), read)
    assert [watched.content() for _ in range(3)] == ["one"] * 3
    assert len(reads) == 1
    replace(path, b"two")
    assert [watched.content() for _ in range(3)] == ["two"] * 3
    assert len(reads) == 2


def test_file_replaced_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    """Two files that belong together are never taken from two rotations."""
    path, later = tmp_path / "file", [b"three"]
    path.write_text("one")

    def read() -> str:
        content = path.read_text()
        if content == "two" and later:
            replace(path, later.pop())
        return content

    watched = WatchedFiles((path,), read)
    replace(path, b"two")
    assert watched.content() == "one"
    assert watched.content() == "three"
