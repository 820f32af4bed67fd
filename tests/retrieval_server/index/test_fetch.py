"""An index is copied from a web server: whole, verified, and continued after an interruption."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval_server.cli import create_app
from retrieval_server.errors import IndexBundleError
from retrieval_server.index import fetch as fetch_module
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.fetch import fetch
from retrieval_server.index.publish import approved_version, current_version
from tests.support.file_server import FileServer, serving_files


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def source(tiny_index_copy: Path) -> Iterator[FileServer]:
    with serving_files(tiny_index_copy) as files:
        yield files


def version_of(source: FileServer) -> Path:
    return source.folder / str(current_version(source.folder))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def largest_file(folder: Path) -> Path:
    return max(folder.glob("*.npy"), key=lambda path: path.stat().st_size)


def assert_same(source: FileServer, target: Path) -> None:
    original, copy = version_of(source), target / str(current_version(target))
    assert copy.name == original.name
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in original.iterdir()
    }
    IndexBundle(copy).verify()


def test_a_copy_is_the_same_to_the_last_byte_and_as_old(source: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "index"
    (source.folder / "approved").write_text(version_of(source).name)

    fetched = fetch(source.url, target)

    assert fetched.version == version_of(source).name
    assert_same(source, target)
    assert [path.name for path in target.glob(".fetch-*")] == []
    assert approved_version(target) == fetched.version
    built = [
        int(IndexBundle(each).built_at) for each in (version_of(source), target / fetched.version)
    ]
    assert built[0] == built[1]


def test_a_second_run_has_nothing_to_do(source: FileServer, tmp_path: Path) -> None:
    fetch(source.url, tmp_path)
    source.requests.clear()

    assert fetch(source.url, tmp_path).bytes == 0
    assert source.requests == [("/current", None)]


def test_a_connection_that_breaks_is_continued_where_it_ended(
    source: FileServer, tmp_path: Path
) -> None:
    largest = largest_file(version_of(source))
    manifest = json.loads((version_of(source) / "manifest.json").read_text())["files"]
    source.cut_after = [10, 3]
    source.statuses = [503]

    fetched = fetch(source.url, tmp_path)

    assert_same(source, tmp_path)
    assert fetched.bytes == sum(each["bytes"] for each in manifest.values())
    assert largest.name in manifest
    assert [asked for _, asked in source.requests if asked] == ["bytes=10-", "bytes=13-"]


def test_a_run_that_was_killed_is_continued_by_the_next(source: FileServer, tmp_path: Path) -> None:
    original = version_of(source)
    partial = tmp_path / f".fetch-{original.name}"
    shutil.copytree(original, partial)
    (tmp_path / ".fetch-lite-older").mkdir()
    largest = largest_file(partial)
    with largest.open("r+b") as file:
        file.truncate(50)

    fetched = fetch(source.url, tmp_path)

    assert_same(source, tmp_path)
    assert fetched.bytes == (original / largest.name).stat().st_size - 50
    assert not (tmp_path / ".fetch-lite-older").exists()


def test_a_server_without_ranges_sends_the_file_again(source: FileServer, tmp_path: Path) -> None:
    source.has_ranges = False
    source.cut_after = [10]

    fetch(source.url, tmp_path)

    assert_same(source, tmp_path)


def test_damaged_bytes_are_fetched_again_and_never_served(
    source: FileServer, tmp_path: Path
) -> None:
    source.damaged = 1
    fetch(source.url, tmp_path / "once")
    assert_same(source, tmp_path / "once")

    source.damaged = 10_000
    with pytest.raises(IndexBundleError, match=r"\.npy: the file differs from its checksum"):
        fetch(source.url, tmp_path / "always")
    assert current_version(tmp_path / "always") is None


def test_a_file_that_the_server_lacks_is_named(source: FileServer, tmp_path: Path) -> None:
    lost = largest_file(version_of(source))
    lost.unlink()
    with pytest.raises(IndexBundleError, match=f"{lost.name}: the server says 404"):
        fetch(source.url, tmp_path)


def test_a_server_that_stays_away_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(IndexBundleError, match=r"127\.0\.0\.1:1/current: Connection refused"):
        fetch("http://127.0.0.1:1", tmp_path)


@pytest.mark.parametrize("content", ["", "../up", ".hidden", "a\nb"])
def test_current_that_names_no_version_is_refused(
    source: FileServer, tmp_path: Path, content: str
) -> None:
    (source.folder / "current").write_text(content)
    with pytest.raises(IndexBundleError, match="current does not hold the name of a version"):
        fetch(source.url, tmp_path)


def test_a_manifest_of_another_version_is_refused(source: FileServer, tmp_path: Path) -> None:
    with (version_of(source) / "manifest.json").open("a") as file:
        file.write(" ")
    with pytest.raises(IndexBundleError, match="another digest than the name of its folder"):
        fetch(source.url, tmp_path)


def test_a_disk_without_space_is_named_before_the_copy(
    source: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(IndexBundleError, match=r"0\.0 GB of free space, and the index needs"):
        fetch(source.url, tmp_path)
    assert len(source.requests) == 2


def test_the_command_says_what_it_copied(source: FileServer, tmp_path: Path) -> None:
    words = ["fetch", f"{source.url}/", "--output", str(tmp_path)]
    first, second = (CliRunner().invoke(create_app(words), words) for _ in range(2))

    assert first.exit_code == second.exit_code == 0, first.stderr
    assert "bytes copied" in first.stderr
    assert "nothing to do" in second.stderr
    assert_same(source, tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("indexes.example/beauty", "Write https://HOST/PATH"),
        ("file:///index", "Write https://HOST/PATH"),
        ("https://", "Write https://HOST/PATH"),
        ("http://a?b=c", "so it is not shown. Write it without the ?"),
        ("http://a/#b", "so it is not shown. Write it without the #"),
        ("http://a:port/b", "Write https://HOST/PATH"),
        ("http://a:0/b", "Write https://HOST/PATH"),
        ("http://[::1/b", "Write https://HOST/PATH"),
        ("http://a/b c", "Write https://HOST/PATH"),
        ("http://a/b\n", "Write https://HOST/PATH"),
    ],
)
def test_what_is_no_url_of_a_folder_is_misuse(tmp_path: Path, url: str, told: str) -> None:
    words = ["fetch", url, "--output", str(tmp_path)]
    done = CliRunner().invoke(create_app(words), words)

    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
