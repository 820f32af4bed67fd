"""Old versions of an index: which stay, which are removed, and that none is removed while open."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.manifest import digest_in_name
from retrieval_server.index.publish import finished_versions, make_current, open_index
from retrieval_server.index.retention import Retention, remove_old_versions
from retrieval_server.index.version_lock import version_to_oneself
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.programs import open_index as holder


def add_version(root: Path, number: int) -> str:
    """A copy of the first version with another manifest, and so another name; ever newer."""
    first = open_index(root).folder
    folder = shutil.copytree(first, root / f".copy-{number}")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["documents"] = number
    (folder / "manifest.json").write_text(json.dumps(manifest))
    os.utime(folder / "manifest.json", (2e9 + number, 2e9 + number))
    named = root / f"tiny-{digest_in_name(folder)}"
    folder.rename(named)
    return named.name


@pytest.fixture
def versions(tiny_index_copy: Path) -> list[str]:
    """Five versions, the oldest first; the newest is current."""
    names = [open_index(tiny_index_copy).version]
    names += [add_version(tiny_index_copy, number) for number in range(1, 5)]
    make_current(tiny_index_copy, names[-1])
    return names


@contextmanager
def opened_elsewhere(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process that has a version open; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", holder.__name__, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline().strip() == folder.name.encode()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("keep", [1, 2, 4, 9])
def test_the_current_version_and_the_newest_others_stay(
    tiny_index_copy: Path, versions: list[str], keep: int
) -> None:
    done = remove_old_versions(tiny_index_copy, keep)
    assert finished_versions(tiny_index_copy) == versions[::-1][:keep]
    assert set(done.removed) == set(versions[:-keep])
    assert done.in_use == ()
    assert open_index(tiny_index_copy).version == versions[-1]


def test_the_current_the_approved_and_a_spared_version_stay_however_old_they_are(
    tiny_index_copy: Path, versions: list[str]
) -> None:
    make_current(tiny_index_copy, versions[0], is_approved=True)
    make_current(tiny_index_copy, versions[1])
    remove_old_versions(tiny_index_copy, 1, {versions[2], None})
    assert set(finished_versions(tiny_index_copy)) == set(versions[:3])


def test_a_version_that_a_process_has_open_stays_until_it_is_killed(
    tiny_index_copy: Path, versions: list[str]
) -> None:
    with opened_elsewhere(tiny_index_copy / versions[1]):
        done = remove_old_versions(tiny_index_copy, 1)
        assert done.in_use == (versions[1],)
        assert set(finished_versions(tiny_index_copy)) == {versions[1], versions[-1]}
    assert remove_old_versions(tiny_index_copy, 1) == Retention((versions[1],))


def test_a_version_is_open_as_long_as_its_bundle_is_in_use(
    tiny_index_copy: Path, versions: list[str]
) -> None:
    bundle = IndexBundle(tiny_index_copy / versions[0])
    another = IndexBundle(tiny_index_copy / versions[0])
    del another
    assert remove_old_versions(tiny_index_copy, 1).in_use == (versions[0],)
    assert bundle.product_id(0) == "p0000"
    del bundle
    assert remove_old_versions(tiny_index_copy, 1).removed == (versions[0],)


def no_current(root: Path) -> None:
    (root / "current").unlink()


def unreadable_current(root: Path) -> None:
    (root / "current").write_bytes(b"\xff\xfe\x00")


def current_without_version(root: Path) -> None:
    (root / "current").write_text("tiny-000000000000\n")


@pytest.mark.parametrize("damage", [no_current, unreadable_current, current_without_version])
def test_nothing_is_removed_where_no_version_is_current(
    tiny_index_copy: Path, versions: list[str], damage: Callable[[Path], None]
) -> None:
    damage(tiny_index_copy)
    assert remove_old_versions(tiny_index_copy, 1) == Retention()
    assert set(finished_versions(tiny_index_copy)) == set(versions)


def test_what_no_build_wrote_stays(
    tiny_index_copy: Path, versions: list[str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / versions[0]
    (tiny_index_copy / versions[0]).rename(elsewhere)
    (tiny_index_copy / versions[0]).symlink_to(elsewhere)
    (tiny_index_copy / versions[1]).rename(tiny_index_copy / "kept by hand")
    foreign = tiny_index_copy / "another-programs-folder"
    foreign.mkdir()
    (foreign / "manifest.json").write_text("{}")
    (tiny_index_copy / "notes.txt").write_text("mine")

    remove_old_versions(tiny_index_copy, 1)

    assert set(finished_versions(tiny_index_copy)) == {
        versions[0],
        "kept by hand",
        foreign.name,
        versions[-1],
    }
    assert (elsewhere / "manifest.json").exists()
    assert (tiny_index_copy / "notes.txt").read_text() == "mine"


def test_what_a_killed_removal_left_is_removed_the_next_time(
    tiny_index_copy: Path, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_old_versions(tiny_index_copy, 4)
    assert finished_versions(tiny_index_copy) == versions[:0:-1]
    assert list(tiny_index_copy.glob(".removed-*"))
    remove_old_versions(tiny_index_copy, 4)
    assert not list(tiny_index_copy.glob(".removed-*"))


# Opening while a removal is under way


def test_a_version_that_is_being_removed_is_refused_in_one_line(version: Path) -> None:
    with version_to_oneself(version) as is_alone:
        assert is_alone
        with pytest.raises(IndexBundleError, match="is being removed") as caught:
            IndexBundle(version)
    assert str(version) in str(caught.value)
    assert IndexBundle(version).version == version.name


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_version_that_is_removed_between_open_and_lock_is_refused(
    version: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    lock = fcntl.flock

    def late(descriptor: int, kind: int) -> None:
        if is_removed:
            shutil.rmtree(version)
        else:  # and another one has the name
            shutil.copytree(version, version.with_name("copy"))
            version.rename(version.with_name(".removed"))
            version.with_name("copy").rename(version)
        lock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(IndexBundleError, match="is being removed"):
        IndexBundle(version)


def test_without_locks_a_version_opens_and_none_is_removed(
    tiny_index_copy: Path, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert open_index(tiny_index_copy).version == versions[-1]
    done = remove_old_versions(tiny_index_copy, 1)
    assert done == Retention((), tuple(versions[-2::-1]))
