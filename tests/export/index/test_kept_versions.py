"""Builds that keep a number of versions, and remove the shards that they have merged."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.cli import main
from export.descriptors import finished_shards
from export.text_index.settings import TextSettings
from retrieval_server.errors import IndexLossError
from retrieval_server.index.publish import finished_versions, open_index
from tests.support.export.index_builds import Build, add_row, versions
from tests.support.export.shard_job import Job

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    tiny_repository: Path,
    tiny_profile_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run ``beauty-export``; its exit status and what it says."""
    monkeypatch.setenv("RETRIEVAL_MODEL_REPOSITORY", str(tiny_repository))
    monkeypatch.setenv("BEAUTY_EXPORT_PROFILE", str(tiny_profile_file))

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["beauty-export", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def small(changed: Path, tiny_profile, tiny_repository: Path, tmp_path: Path) -> Job:
    return Job(changed, tiny_profile, tiny_repository, tmp_path / "shards")


def test_each_build_keeps_the_number_and_the_version_that_it_replaces(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    built = []
    for number in range(4):
        add_row(changed, f"new{number}", "images/p0000.png", "a new one", "", "")
        built.append(build(changed, tmp_path, keep_versions=1))
    names = [each.folder.name for each in built]
    assert finished_versions(tmp_path) == names[:1:-1]
    assert [each.retention.removed for each in built] == [(), (), (names[0],), (names[1],)]
    again = build(changed, tmp_path, keep_versions=1)
    assert again.retention.removed == (names[2],)
    assert finished_versions(tmp_path) == [open_index(tmp_path).version] == names[3:]


def test_all_versions_stay_unless_a_number_is_given(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    for threshold in (0.5, 0.6, 0.7):
        build(changed, tmp_path, text=TextSettings(threshold=threshold))
    assert len(versions(tmp_path)) == 3


def test_a_version_that_waits_to_be_published_stays(
    changed: Path, tmp_path: Path, build: Build, described: list[int]
) -> None:
    for threshold in (0.5, 0.6):
        build(changed, tmp_path, text=TextSettings(threshold=threshold))
    catalogue = changed / "catalog.csv"
    catalogue.write_text("".join(catalogue.read_text("utf-8").splitlines(keepends=True)[:4]))
    for _ in range(2):
        with pytest.raises(IndexLossError):
            build(changed, tmp_path, keep_versions=1)
    described.clear()
    built = build(changed, tmp_path, keep_versions=1, max_loss=1.0)
    assert (built.published, built.manifest, described) == (True, None, [])


def test_the_commands_say_what_they_removed_and_what_is_in_use(
    changed: Path, tmp_path: Path, run: Run
) -> None:
    index = tmp_path / "index"
    build = ("index", changed, "--output", index, "--keep-versions")
    assert run(*build, 1)[0] == 0
    first = open_index(index)
    for number in range(2):
        add_row(changed, f"new{number}", "images/p0000.png", "a new one", "", "")
        status, said = run(*build, 1)
    assert (status, said.splitlines()[-1]) == (
        0,
        f"old versions that stay, since a process has them open: {first.version}",
    )
    second = finished_versions(index)[1]
    del first
    status, said = run("publish", index, second, "--keep-versions", "1")
    assert status == 0
    assert said.splitlines()[-1].startswith("old versions removed: tiny-")
    assert len(finished_versions(index)) == 2  # the one that it replaced stays
    assert run(*build, 0)[0] == 2


def test_merged_shards_are_removed_and_the_next_extraction_makes_them_again(
    small: Job, run: Run, tmp_path: Path
) -> None:
    merge = (
        *("index", small.catalogue, "--output", tmp_path / "index"),
        *("--from-shards", small.folder, "--shards", 2, "--remove-shards"),
    )
    small.extract_all(2)
    assert run(*merge)[0] == 0
    version = open_index(tmp_path / "index").version
    assert not small.folder.exists()
    small.extract_all(2)
    status, said = run(*merge)
    assert status == 0
    assert "nothing to do" in said
    assert not small.folder.exists()
    assert open_index(tmp_path / "index").version == version


def test_an_interrupted_removal_of_shards_goes_on_with_the_same_command(
    small: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.extract_all(2)
    (small.folder / "notes.txt").write_text("mine")
    unlink = Path.unlink

    def killed(path: Path) -> None:
        if path.parent.name.startswith("shard-00001"):
            raise KeyboardInterrupt
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(finished_shards.Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            small.merge(tmp_path / "index", removes_shards=True)
    assert not list(small.place(0, 2).glob("block-*"))
    built = small.merge(tmp_path / "index", removes_shards=True)
    assert (built.manifest, built.published) == (None, False)
    assert [path.name for path in small.folder.iterdir()] == ["notes.txt"]


def test_shards_of_a_version_that_is_not_published_stay(small: Job, tmp_path: Path) -> None:
    small.extract_all(2)
    small.merge(tmp_path / "index")
    catalogue = small.catalogue / "catalog.csv"
    catalogue.write_text("".join(catalogue.read_text("utf-8").splitlines(keepends=True)[:4]))
    small.extract_all(2)
    with pytest.raises(IndexLossError):
        small.merge(tmp_path / "index", removes_shards=True)
    assert small.place(1, 2).is_dir()


def test_shards_are_removed_only_where_they_are_merged(
    small: Job, run: Run, tmp_path: Path
) -> None:
    status, said = run("index", small.catalogue, "--output", tmp_path, "--remove-shards")
    assert status == 2
    assert "--from-shards" in said
