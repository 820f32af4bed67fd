"""Building an index: the same bytes whatever happened on the way, and never half a version."""

import asyncio
import csv
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.dataset.catalogue import read_catalogue
from export.descriptors import engine_choice, merge_blocks
from export.descriptors.block import BLOCK_ROWS
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction
from export.index.build import BuiltIndex, IndexBuild
from export.text_index.settings import TextSettings
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import (
    CatalogueError,
    EngineError,
    ModelRepositoryError,
    RetrievalError,
)
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import is_intact, open_index
from retrieval_server.models.profile import Profile

Build = Callable[..., BuiltIndex]
PATIENCE_S = 60  # no test waits so long unless it fails
FAMILIES = 28  # × 5 products: three blocks
STOPS_AFTER = BLOCK_ROWS + 20  # images, in a build that then waits to be killed
CORES = 2  # few enough images in flight for the first block to be finished by then
STOPPED_BUILD = """
import asyncio
from export.cli import main
from export.descriptors import engine_choice
from retrieval_server.engines.embedded import EmbeddedEngine

infer, images = EmbeddedEngine.infer, 0

async def infer_or_wait(self, ensemble, batch):
    global images
    images += len(batch)
    if images > {stops_after}:
        await asyncio.Event().wait()
    return await infer(self, ensemble, batch)

EmbeddedEngine.infer = infer_or_wait
engine_choice.available_cores = lambda: {cores}
main()
"""

STOPPED_TEXT_INDEX = """
import sys
import threading
from export.cli import main
from export.text_index import build

work = build.{function}

def work_and_wait(*arguments, **options):
    work(*arguments, **options)
    print("waiting", flush=True)
    threading.Event().wait()

build.{function} = work_and_wait
main()
"""


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


@pytest.fixture
def build(tiny_profile: Profile, tiny_repository: Path) -> Build:
    def run(catalogue: Path, root: Path, **changes: object) -> BuiltIndex:
        job = IndexBuild(
            read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root
        )
        return replace(job, **changes).run()

    return run


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


@pytest.fixture
def changed(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue to change."""
    return catalogue_folder(families=2, members=3)


def files(root: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path in it."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def versions(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def add_row(catalogue: Path, *fields: str) -> None:
    with (catalogue / "catalog.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(fields)


def picture(catalogue: Path, product: str = "p0000") -> Path:
    return catalogue / "images" / f"{product}.png"


# Interrupted builds


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
    script = STOPPED_BUILD.format(stops_after=STOPS_AFTER, cores=CORES)
    command = [sys.executable, "-c", script, "index"]
    command += [str(catalogue), "--output", str(root), "--profile", str(tiny_profile_file)]
    command += ["--model-repository", str(tiny_repository)]
    block = root / ".building" / "blocks" / "block-0000000.npz"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
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
    assemble = IndexBuild._assemble

    def note_block_and_assemble(job: IndexBuild, *args: object) -> BuiltIndex:
        kept.append(block.stat())
        return assemble(job, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexBuild, "_assemble", note_block_and_assemble)
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
    command = [sys.executable, "-c", STOPPED_TEXT_INDEX.format(function=function), "index"]
    command += [str(changed), "--output", str(root), "--profile", str(tiny_profile_file)]
    command += ["--model-repository", str(tiny_repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
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
            build(changed, root)
            is_finished = True
        except BaseException as error:
            # From the extraction it comes as a group.
            if not isinstance(error, KilledError | BaseExceptionGroup):
                raise
        finally:
            kill.disarm()
        assert open_index(root).folder in versions(root)
        assert all(is_intact(version) for version in versions(root))
        build(changed, root)
        shutil.rmtree(old)
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


# Runs one after the other


def test_second_run_has_nothing_to_do_and_changes_nothing(
    tiny_index_copy: Path, tiny_catalogue: Path, build: Build, described: list[int]
) -> None:
    before = {path: path.stat().st_ino for path in open_index(tiny_index_copy).folder.iterdir()}
    built = build(tiny_catalogue, tiny_index_copy)
    assert (built.manifest, described) == (None, [])
    assert {path: path.stat().st_ino for path in built.folder.iterdir()} == before


def test_second_run_serves_its_version_again(
    tiny_index_copy: Path, tiny_catalogue: Path, build: Build
) -> None:
    version = open_index(tiny_index_copy).version
    (tiny_index_copy / "current").write_text("tiny-ffffffffffff\n")
    build(tiny_catalogue, tiny_index_copy)
    assert open_index(tiny_index_copy).version == version


@pytest.mark.parametrize("name", ["ids.bytes.npy", "descriptors.tiny_a.npy", "manifest.json"])
def test_damaged_version_is_built_again(
    tiny_index_copy: Path, tiny_index: Path, tiny_catalogue: Path, build: Build, name: str
) -> None:
    damaged = open_index(tiny_index_copy).folder / name
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    assert build(tiny_catalogue, tiny_index_copy).manifest is not None
    assert files(tiny_index_copy) == files(tiny_index)


@pytest.mark.parametrize("content", ["", "{", "null", "{}", '{"source": 1, "version": 2}'])
def test_damaged_note_of_the_last_build_only_costs_time(
    tiny_index_copy: Path, tiny_index: Path, tiny_catalogue: Path, build: Build, content: str
) -> None:
    (tiny_index_copy / ".built.json").write_text(content)
    build(tiny_catalogue, tiny_index_copy)
    assert files(tiny_index_copy) == files(tiny_index)


def test_changed_description_gives_another_version_beside_the_old_one(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    first = build(changed, tmp_path).folder
    file = changed / "catalog.csv"
    file.write_text(file.read_text("utf-8").replace("Ruby", "Coral", 1), "utf-8")
    second = build(changed, tmp_path).folder
    assert second != first
    assert is_intact(first)
    bundle = open_index(tmp_path)
    assert bundle.folder == second
    assert "Coral" in bundle.product(0).description
    np.testing.assert_array_equal(bundle.descriptors[0], IndexBundle(first).descriptors[0])


def test_added_row_gives_another_version_beside_the_old_one(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    first = build(changed, tmp_path).folder
    add_row(changed, "new", "images/p0000.png", "a new one", "", "")
    bundle = IndexBundle(build(changed, tmp_path).folder)
    assert (len(bundle), bundle.row_of("new")) == (7, 6)
    assert len(IndexBundle(first)) == 6


def test_changed_image_is_described_again(changed: Path, tmp_path: Path, build: Build) -> None:
    before = IndexBundle(build(changed, tmp_path).folder).descriptors[0]
    Image.new("RGB", (50, 60), "black").save(picture(changed))
    after = IndexBundle(build(changed, tmp_path).folder).descriptors[0]
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1:], after[1:])


def test_image_that_changes_during_the_build_is_noticed(
    changed: Path, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = ShardExtraction._finish

    def touch_and_go_on(*arguments: object) -> object:
        os.utime(picture(changed), ns=(1, 1))
        return finish(*arguments)

    monkeypatch.setattr(ShardExtraction, "_finish", touch_and_go_on)
    with pytest.raises(RetrievalError, match="changed during the build"):
        build(changed, tmp_path)
    assert versions(tmp_path) == []


def test_version_does_not_depend_on_where_or_when_files_lie(
    changed: Path, catalogue_folder: Callable[..., Path], tmp_path: Path, build: Build
) -> None:
    other = catalogue_folder(families=2, members=3)
    for path in (other / "images").iterdir():
        os.utime(path, ns=(1, 1))
    first, second = build(changed, tmp_path / "a").folder, build(other, tmp_path / "b").folder
    assert first.name == second.name
    assert files(first) == files(second)


def test_threshold_and_alpha_give_versions_of_their_own(
    changed: Path, tmp_path: Path, build: Build, tiny_profile: Profile
) -> None:
    first, *others = tiny_profile.backbones
    profile = replace(tiny_profile, backbones=(replace(first, alpha=2.0), *others))
    names = {
        build(changed, tmp_path).folder.name,
        build(changed, tmp_path, text=TextSettings(threshold=0.7)).folder.name,
        build(changed, tmp_path, profile=profile).folder.name,
    }
    assert len(names) == 3


# What is in it


def test_unreadable_images_are_rejects_and_the_rest_is_indexed(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    (changed / "images" / "folder").mkdir()
    (changed / "images" / "empty.png").write_bytes(b"")
    (changed / "images" / "text.png").write_text("no picture")
    whole = picture(changed, "p0000").read_bytes()
    (changed / "images" / "cut.png").write_bytes(whole[:-60])
    expected = {
        "folder": "cannot be read: Is a directory.",
        "empty.png": "is empty.",
        "text.png": "is not an image",
        "cut.png": "is damaged",
        "none.png": "cannot be read: No such file or directory.",
        "é/ü.png": "cannot be read: No such file or directory.",
    }
    for number, name in enumerate(expected):
        add_row(changed, f"bad{number}", f"images/{name}", "a jar", "", "")
    add_row(changed, "good", "images/p0000.png", "a jar", "", "")
    built = build(changed, tmp_path)
    lines = (built.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    rejects = [json.loads(line) for line in lines]
    assert [reject["product_id"] for reject in rejects] == [f"bad{n}" for n in range(len(expected))]
    for reject, (name, reason) in zip(rejects, expected.items(), strict=True):
        assert reject["image"] == f"images/{name}"
        assert reject["reason"].startswith(reason)
    assert (built.manifest.products, built.manifest.rejected) == (7, len(expected))
    bundle = IndexBundle(built.folder)
    assert (bundle.row_of("good"), bundle.row_of("bad0")) == (6, None)
    np.testing.assert_array_equal(bundle.descriptors[0][6], bundle.descriptors[0][0])


def test_catalogue_without_one_readable_image_publishes_nothing(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    for path in (changed / "images").iterdir():
        path.write_bytes(b"")
    message = r"None of the 6 images of .*catalog\.csv .* the first: images/p0000\.png is empty\."
    with pytest.raises(CatalogueError, match=message):
        build(changed, tmp_path)
    assert versions(tmp_path) == []
    assert not (tmp_path / "current").exists()


def test_products_without_descriptions_are_indexed_by_image(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    rows = ["id,image,description"] + [
        f"p{n},images/p000{n}.{('png', 'jpg')[n % 2]}," for n in range(3)
    ]
    (changed / "catalog.csv").write_text("\n".join(rows))
    built = build(changed, tmp_path)
    assert (built.manifest.documents, built.manifest.text_pairs) == (0, 0)
    bundle = IndexBundle(built.folder)
    assert [len(bundle.text_index.neighbours(row)[0]) for row in range(3)] == [0, 0, 0]
    assert bundle.product(2).description == ""
    bundle.verify()


def test_all_zero_descriptors_are_counted(changed: Path, tmp_path: Path, build: Build) -> None:
    Image.new("RGB", (40, 40), "white").save(picture(changed))
    manifest = build(changed, tmp_path).manifest
    assert {name: model.zero_descriptors for name, model in manifest.models.items()} == {
        "tiny_a": 1,
        "tiny_b": 1,
    }


def test_manifest_says_what_the_index_was_built_with(
    tiny_index: Path, tiny_profile: Profile
) -> None:
    manifest = open_index(tiny_index).manifest
    assert manifest.profile == tiny_profile
    assert [model.weights for model in manifest.models.values()] == ["made for tests"] * 2
    assert manifest.text["threshold"] == 0.6
    assert (manifest.products, manifest.documents, manifest.rejected) == (40, 40, 0)
    assert manifest.warnings == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_descriptor_without_unit_norm_is_refused(
    changed: Path, tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    infer = EmbeddedEngine.infer

    async def spoiled(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        rows = await infer(self, ensemble, batch)
        return {**rows, "tiny_b": np.full_like(rows["tiny_b"], value)}

    monkeypatch.setattr(EmbeddedEngine, "infer", spoiled)
    with pytest.raises(EngineError, match=r"tiny_b gave images/p0000\.png a descriptor of L2 norm"):
        build(changed, tmp_path)
    assert versions(tmp_path) == []


# Models


def test_profile_that_differs_from_the_ensemble_is_refused(
    changed: Path, tmp_path: Path, build: Build, tiny_profile: Profile
) -> None:
    for profile in (
        replace(tiny_profile, side=64),
        replace(tiny_profile, backbones=tiny_profile.backbones[:1]),
        replace(tiny_profile, backbones=tiny_profile.backbones[::-1]),
    ):
        with pytest.raises(ModelRepositoryError, match=r"the profile wants .*beauty-export onnx"):
            build(changed, tmp_path / "index", profile=profile)
    assert not (tmp_path / "index").exists()


def test_missing_models_say_how_to_export_them(
    changed: Path, tmp_path: Path, build: Build, tiny_repository: Path, tiny_profile: Profile
) -> None:
    with pytest.raises(ModelRepositoryError, match=r"no model 'other'; it has .*'tiny_a'"):
        build(changed, tmp_path / "index", profile=replace(tiny_profile, name="other"))
    with pytest.raises(ModelRepositoryError, match="There is no model repository at"):
        build(changed, tmp_path / "index", engine=EngineChoice(tmp_path / "none"))
    copy = shutil.copytree(tiny_repository, tmp_path / "repository")
    (copy / "tiny_b" / "1" / "model.onnx").unlink()
    with pytest.raises(ModelRepositoryError, match=r"tiny_b has no .*model\.onnx.*beauty-export"):
        build(changed, tmp_path / "index", engine=EngineChoice(copy))
    (copy / "tiny_b" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError, match="tiny_b cannot be loaded"):
        build(changed, tmp_path / "index", engine=EngineChoice(copy))
    with pytest.raises(EngineError, match="Unknown engine 'tritn'"):
        build(changed, tmp_path / "index", engine=EngineChoice(tiny_repository, "tritn"))
    assert versions(tmp_path / "index") == []
