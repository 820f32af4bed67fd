"""An interrupted build: the next one gives the same bytes, and nothing half made is published."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.dataset.catalogue import read_catalogue
from export.descriptors import engine_choice, merge_blocks
from export.descriptors.block import BLOCK_ROWS
from export.descriptors.engine_choice import EngineChoice
from export.index import assembly
from export.index.build import IndexBuild
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import EngineError, RetrievalError
from retrieval_server.index.publish import APPROVED_FILE, is_intact, open_index
from retrieval_server.models.profile import Profile
from tests.support.export.index_builds import Build, files, versions
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command
from tests.support.programs.stopped_builds import (
    CORES,
    STOPS_AFTER,
    stop_amid_extraction,
    stop_amid_the_text_index,
)

FAMILIES = 28  # × 5 products: three blocks


class KilledError(BaseException):
    """Stands for a kill: no ``except`` of the code under test catches it."""


class Kill:
    """Kills a build at its n-th operation on the files of an index, by an audit hook."""

    OPERATIONS = frozenset({"open", "os.rename", "os.mkdir", "shutil.rmtree", "shutil.copytree"})
    RELATIVE_OPERATIONS = frozenset({"os.remove", "os.rmdir"})  # rmtree's: the path is a bare name

    def __init__(self) -> None:
        self._root: str | None = None
        self._left = 0
        sys.addaudithook(self._watch)

    def arm(self, root: Path, operations: int) -> None:
        """Let so many operations pass, and none after them."""
        self._root, self._left = str(root), operations

    def disarm(self) -> None:
        self._root = None

    def _watch(self, event: str, args: tuple[object, ...]) -> None:
        if self._root is None:
            return
        is_inside = event in self.OPERATIONS and str(args[0]).startswith(self._root)
        if is_inside or event in self.RELATIVE_OPERATIONS:
            self._left -= 1
            if self._left < 0:
                raise KilledError


@pytest.fixture(scope="module")
def kill() -> Kill:
    return Kill()  # a hook cannot be taken off again, so there is one


@pytest.fixture(scope="module")
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue of three blocks; read-only."""
    return catalogue_folder(families=FAMILIES)


@pytest.fixture(scope="module")
def undisturbed(
    catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The index of ``catalogue``, built in one go."""
    root = tmp_path_factory.mktemp("undisturbed")
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root).run()
    return root


def test_build_killed_amid_extraction_resumes_to_the_same_bytes(
    catalogue: Path,
    undisturbed: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path: Path,
    build: Build,
    described: list[int],
) -> None:
    root = tmp_path / "index"
    options = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    words = command(stop_amid_extraction, "index", catalogue, "--output", root, *options)
    block = root / ".building" / "blocks" / "block-0000000.npz"
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not block.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors
    before = block.stat()
    assert versions(root) == []
    finished = len(list(block.parent.glob("*.npz")))
    assert finished == 1

    kept: list[os.stat_result] = []
    merge = assembly.write_descriptors

    def note_block_and_merge(*arguments: object) -> dict[str, int]:
        kept.append(block.stat())
        return merge(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "write_descriptors", note_block_and_merge)
        build(catalogue, root)
    assert (kept[0].st_ino, kept[0].st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sum(described) == 5 * FAMILIES - finished * BLOCK_ROWS + 1  # and the reference image
    assert files(root) == files(undisturbed)


@pytest.mark.parametrize("function", ["join", "write_neighbour_lists"])
def test_build_killed_amid_the_text_index_restarts_to_the_same_bytes(
    changed: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path: Path,
    build: Build,
    function: str,
) -> None:
    root = tmp_path / "index"
    options = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    arguments = ("index", changed, "--output", root, *options)
    words = command(stop_amid_the_text_index, function, *arguments)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert versions(root) == []
    assert build(changed, root).folder in versions(root)
    build(changed, tmp_path / "undisturbed")
    assert files(root) == files(tmp_path / "undisturbed")


def test_build_killed_at_any_file_operation_leaves_nothing_half_made(
    changed: Path,
    tiny_index: Path,
    tmp_path: Path,
    build: Build,
    kill: Kill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # costs most of the time; no power fails here
    build(changed, tmp_path / "undisturbed")
    expected = files(tmp_path / "undisturbed")
    operations = 0
    is_finished = False
    while not is_finished:
        root = shutil.copytree(tiny_index, tmp_path / str(operations))  # of another catalogue
        (old,) = versions(root)
        kill.arm(root, operations)
        try:
            build(changed, root, max_loss=1.0)
            is_finished = True
        except BaseException as error:
            # From the extraction it comes as a group.
            if not isinstance(error, KilledError | BaseExceptionGroup):
                raise
        finally:
            kill.disarm()
        assert open_index(root).folder in versions(root)
        assert all(is_intact(version) for version in versions(root))
        build(changed, root, max_loss=1.0)
        shutil.rmtree(old)
        (root / APPROVED_FILE).unlink()  # of a version that was compared with another
        assert files(root) == expected
        shutil.rmtree(root)
        operations += 1
    assert operations > 50


def test_leftovers_of_a_killed_build_do_not_get_into_the_index(
    tiny_catalogue: Path, tiny_index: Path, tmp_path: Path, build: Build
) -> None:
    (tmp_path / ".building" / "bundle").mkdir(parents=True)
    (tmp_path / ".building" / "bundle" / "descriptors.another.npy").write_bytes(b"left over")
    build(tiny_catalogue, tmp_path)
    assert files(tmp_path) == files(tiny_index)


def test_build_killed_while_it_cleans_up_has_nothing_left_to_do(
    catalogue: Path, undisturbed: Path, tmp_path: Path, build: Build
) -> None:
    remove = shutil.rmtree

    def killed(path: Path, **options: bool) -> None:
        if path.name == ".building":
            raise KilledError
        remove(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KilledError):
            build(catalogue, tmp_path)
    assert (tmp_path / ".building").is_dir()
    assert build(catalogue, tmp_path).manifest is None
    assert files(tmp_path) == files(undisturbed)
    assert not (tmp_path / ".building").exists()


def test_engine_failure_is_one_error_and_the_next_run_goes_on_from_there(
    catalogue: Path, undisturbed: Path, tmp_path: Path, build: Build, described: list[int]
) -> None:
    counting = EmbeddedEngine.infer

    async def failing(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        if sum(described) == STOPS_AFTER:
            while not list(tmp_path.rglob("*.npz")):  # a thread may be at it
                await asyncio.sleep(0.01)
            raise EngineError("Model tiny_a failed: out of memory")
        return await counting(self, ensemble, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", failing)
        patch.setattr(engine_choice, "available_cores", lambda: CORES)
        with pytest.raises(EngineError, match="out of memory"):
            build(catalogue, tmp_path)
    assert versions(tmp_path) == []
    described.clear()
    build(catalogue, tmp_path)
    assert len(described) == 5 * FAMILIES - BLOCK_ROWS + 1  # and the reference image
    assert files(tmp_path) == files(undisturbed)


def test_full_disk_is_one_error_that_names_the_index(
    catalogue: Path, tmp_path: Path, build: Build
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module, function in ((np, "savez"), (merge_blocks, "create_descriptors")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, function, full)
            with pytest.raises(RetrievalError, match=f"{tmp_path}.*: No space left.*same command"):
                build(catalogue, tmp_path)
    assert versions(tmp_path) == []


def test_two_builds_at_once_are_refused(catalogue: Path, tmp_path: Path, build: Build) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RetrievalError, match=f"Another build is at work in {tmp_path}"):
            build(catalogue, tmp_path)
    assert build(catalogue, tmp_path).manifest is not None
