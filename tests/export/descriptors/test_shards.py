"""A catalogue described in shards gives the index that one run gives, or an error that says why."""

import csv
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from export.cli import BAD_INPUT, main
from export.commands import options
from export.dataset.catalogue import Catalogue, CatalogueRow, read_catalogue
from export.descriptors import engine_choice
from export.descriptors.block import BLOCK_ROWS
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.extract_shard import ShardExtraction
from export.descriptors.finished_shards import FinishedShard
from export.descriptors.shards import Shard, shard_number, shard_numbers
from export.index.build import BuiltIndex, IndexBuild
from retrieval_server.engines.embedded import EmbeddedEngine
from retrieval_server.errors import EngineError, RetrievalError, ShardError
from retrieval_server.index.publish import open_index
from retrieval_server.models.profile import Profile

PRODUCTS = 140  # three blocks in one shard
NUMBERS = (1, 2, 3, 7)
UNREADABLE = ("p0003", "p0100", "p1204", "p2704")
WHITE = ("p0001", "p1300", "p2703")  # an all-zero descriptor


class Job:
    """Extractions of one catalogue by one profile, beside each other in one folder."""

    def __init__(self, catalogue: Path, profile: Profile, repository: Path, folder: Path) -> None:
        self.catalogue = catalogue
        self.profile = profile
        self.repository = repository
        self.folder = folder

    def extraction(self, number: int, count: int, **changes: object) -> ShardExtraction:
        shard = Shard(number, count)
        whole = ShardExtraction(
            catalogue=read_catalogue(self.catalogue),
            shard=shard,
            profile=self.profile,
            engine=EngineChoice(self.repository),
            folder=self.folder / shard.folder_name,
        )
        return replace(whole, **changes)

    def extract(self, number: int, count: int, **changes: object) -> tuple[FinishedShard, bool]:
        extracted = self.extraction(number, count, **changes).run()
        return extracted.shard, extracted.is_new

    def extract_all(self, count: int) -> None:
        for number in range(count):
            self.extract(number, count)

    def place(self, number: int, count: int) -> Path:
        return self.folder / Shard(number, count).folder_name

    def merge(self, root: Path, **changes: object) -> BuiltIndex:
        build = IndexBuild(
            read_catalogue(self.catalogue),
            self.profile,
            EngineChoice(self.repository),
            root,
            from_shards=self.folder,
        )
        return replace(build, **changes).run()

    def refused(self, root: Path, **changes: object) -> str:
        with pytest.raises(ShardError) as caught:
            self.merge(root, **changes)
        assert not (root / "current").exists()
        return str(caught.value)


@pytest.fixture(scope="module")
def catalogue(catalogue_folder: Callable[..., Path]) -> Path:
    """A catalogue with unreadable and with white images; read-only."""
    folder = catalogue_folder(families=PRODUCTS // 5)
    rows = {row.product_id: row for row in read_catalogue(folder).rows}
    assert len(rows) == PRODUCTS
    for product_id in UNREADABLE:
        (folder / rows[product_id].image).write_bytes(b"no image")
    for product_id in WHITE:
        Image.new("RGB", (40, 40), "white").save(folder / rows[product_id].image)
    return folder


@pytest.fixture(scope="module")
def unsharded(
    catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Its index, built in one go."""
    root = tmp_path_factory.mktemp("unsharded")
    IndexBuild(read_catalogue(catalogue), tiny_profile, EngineChoice(tiny_repository), root).run()
    return open_index(root).folder


@pytest.fixture
def job(catalogue: Path, tiny_profile: Profile, tiny_repository: Path, tmp_path: Path) -> Job:
    return Job(catalogue, tiny_profile, tiny_repository, tmp_path / "shards")


@pytest.fixture
def small(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
) -> Job:
    """Six products, to change."""
    folder = catalogue_folder(families=2, members=3)
    return Job(folder, tiny_profile, tiny_repository, tmp_path / "shards")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def catalogue_of(*ids: str) -> Catalogue:
    rows = tuple(CatalogueRow(product_id, f"{product_id}.png", "", {}) for product_id in ids)
    return Catalogue(Path("catalog.csv"), rows)


# Which product goes where


@pytest.mark.parametrize(
    ("product_id", "first_64_bits"),  # printf p0000 | sha256sum | cut -c1-16
    [("p0000", 0xA4D5E07E23B14FEF), ("p0101", 0x2312C296CBE88CAC), ("é", 0x4A99557E4033C353)],
)
def test_a_product_s_shard_is_its_sha256_modulo_their_number(
    product_id: str, first_64_bits: int
) -> None:
    for count in (1, 2, 3, 7, 1000):
        assert shard_number(product_id, count) == first_64_bits % count


@pytest.mark.parametrize("count", NUMBERS)
def test_every_product_is_in_one_shard_whatever_its_place_and_its_neighbours(count: int) -> None:
    ids = [f"p{number}" for number in range(300)]
    shards = [Shard(number, count).part(catalogue_of(*ids)) for number in range(count)]
    assert sorted(row.product_id for part in shards for row in part.rows) == sorted(ids)
    order = np.random.default_rng(0).permutation(300)[:200]
    some = [ids[place] for place in order]
    expected = shard_numbers(catalogue_of(*ids), count)[order]
    assert shard_numbers(catalogue_of(*some), count).tolist() == expected.tolist()
    sizes = [len(part.rows) for part in shards]
    assert max(sizes) < 1.6 * 300 / count


# Merged shards are the index of one run


@pytest.mark.parametrize("count", NUMBERS)
def test_merged_shards_are_the_index_of_one_run_to_the_last_byte(
    job: Job, unsharded: Path, tmp_path: Path, count: int
) -> None:
    job.extract_all(count)
    merged = job.merge(tmp_path / "index")
    assert merged.folder.name == unsharded.name
    assert files(merged.folder) == files(unsharded)
    assert merged.manifest is not None
    assert merged.manifest.rejected == len(UNREADABLE)
    assert merged.manifest.models["tiny_a"].zero_descriptors == len(WHITE)
    rejects = (merged.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["product_id"] for line in rejects] == list(UNREADABLE)


def test_merged_half_precision_is_that_of_one_run(job: Job, tmp_path: Path) -> None:
    job.extract_all(3)
    merged = job.merge(tmp_path / "merged", half_precision=True)
    whole = job.merge(tmp_path / "whole", half_precision=True, from_shards=None)
    assert merged.folder.name == whole.folder.name
    assert files(merged.folder) == files(whole.folder)


def test_the_merge_needs_the_catalogue_s_file_but_no_image(
    job: Job, unsharded: Path, tmp_path: Path
) -> None:
    job.extract_all(2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(job.catalogue / "catalog.csv", elsewhere)
    job.catalogue = elsewhere
    assert files(job.merge(tmp_path / "index").folder) == files(unsharded)


def test_a_catalogue_in_another_order_is_merged_in_that_order(job: Job, tmp_path: Path) -> None:
    job.extract_all(3)
    mixed = shutil.copytree(job.catalogue, tmp_path / "mixed")
    with (mixed / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    order = np.random.default_rng(1).permutation(len(rows))
    with (mixed / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(rows[place] for place in order)])
    job.catalogue = mixed
    merged = job.merge(tmp_path / "merged").folder
    assert files(merged) == files(job.merge(tmp_path / "whole", from_shards=None).folder)


def test_more_shards_than_products_leave_some_empty(small: Job, tmp_path: Path) -> None:
    small.extract_all(11)
    merged = small.merge(tmp_path / "merged").folder
    assert files(merged) == files(small.merge(tmp_path / "whole", from_shards=None).folder)
    assert not small.extract(0, 11)[1]


def test_a_second_merge_has_nothing_to_do_until_a_description_or_a_shard_changes(
    small: Job, tmp_path: Path
) -> None:
    small.extract_all(2)
    first = small.merge(tmp_path / "index")
    assert first.manifest is not None
    assert small.merge(tmp_path / "index").manifest is None
    file = small.catalogue / "catalog.csv"
    file.write_text(file.read_text("utf-8").replace("Ruby", "Coral", 1), "utf-8")
    assert small.merge(tmp_path / "index").manifest is not None
    Image.new("RGB", (50, 60), "black").save(small.catalogue / "images" / "p0000.png")
    small.extract_all(2)
    third = small.merge(tmp_path / "index")
    assert third.manifest is not None
    assert files(third.folder) == files(small.merge(tmp_path / "whole", from_shards=None).folder)


# Resumption


def test_a_finished_shard_is_skipped_without_loading_a_model(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, is_new = job.extract(1, 3)
    assert is_new
    before = {path: path.stat().st_ino for path in first.folder.iterdir()}

    def no_engine(*_: object, **__: object) -> None:
        raise AssertionError("an engine was made")

    monkeypatch.setattr(engine_choice, "create_engine", no_engine)
    again, is_new = job.extract(1, 3)
    assert not is_new
    assert again.manifest == first.manifest
    assert {path: path.stat().st_ino for path in first.folder.iterdir()} == before


def test_a_half_done_shard_is_taken_up_where_it_stopped(
    job: Job, unsharded: Path, tmp_path: Path, described: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = EmbeddedEngine.infer

    async def failing(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        if sum(described) == BLOCK_ROWS + 10:
            raise EngineError("Model tiny_a failed: out of memory")
        return await counting(self, ensemble, batch)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", failing)
        patch.setattr(engine_choice, "available_cores", lambda: 2)
        with pytest.raises(EngineError, match="out of memory"):
            job.extract(0, 1)
    assert not (job.place(0, 1) / "shard.json").exists()
    assert "1 are missing or not finished: 0" in job.refused(tmp_path / "early")
    described.clear()
    assert job.extract(0, 1)[1]
    readable = PRODUCTS - len(UNREADABLE)
    first_block = BLOCK_ROWS - 2  # p0003 and p0100 cannot be read
    assert sum(described) == readable - first_block + 1  # and the reference image
    assert files(job.merge(tmp_path / "index").folder) == files(unsharded)


def test_only_the_block_of_a_changed_image_is_described_again(
    job: Job, catalogue: Path, described: list[int], tmp_path: Path
) -> None:
    job.catalogue = shutil.copytree(catalogue, tmp_path / "copy")
    job.extract(0, 1)
    last = read_catalogue(job.catalogue).rows[-2]
    Image.new("RGB", (50, 60), "black").save(job.catalogue / last.image)
    described.clear()
    assert job.extract(0, 1)[1]
    assert (
        sum(described) == PRODUCTS % BLOCK_ROWS - 1 + 1
    )  # one unreadable; and the reference image
    assert not job.extract(0, 1)[1]


def test_a_shard_of_a_grown_and_of_a_shrunk_catalogue_is_that_of_a_new_start(
    small: Job, tmp_path: Path
) -> None:
    """Blocks of former work do not stay behind."""
    many = 2 * BLOCK_ROWS
    file = small.catalogue / "catalog.csv"
    short = file.read_text("utf-8")
    further = "".join(f"x{number},images/p0000.png,a jar,,\n" for number in range(many))
    for text in (short, short + further, short):
        file.write_text(text, "utf-8")
        small.extract_all(1)
        fresh = Job(small.catalogue, small.profile, small.repository, tmp_path / "fresh")
        fresh.extract_all(1)
        assert files(small.place(0, 1)) == files(fresh.place(0, 1))
        shutil.rmtree(fresh.folder)


def test_two_processes_on_one_shard_are_refused(small: Job) -> None:
    place = small.place(0, 1)
    place.mkdir(parents=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RetrievalError, match=f"Another build is at work in {place}"):
            small.extract(0, 1)
    assert small.extract(0, 1)[1]


def test_an_image_that_changes_meanwhile_leaves_the_shard_unfinished(
    small: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = ShardExtraction._describe

    async def describe_and_touch(self: ShardExtraction, extraction: object) -> tuple[int, str]:
        described = await describe(self, extraction)
        os.utime(small.catalogue / "images" / "p0000.png", ns=(1, 1))
        return described

    monkeypatch.setattr(ShardExtraction, "_describe", describe_and_touch)
    with pytest.raises(RetrievalError, match="changed during the build"):
        small.extract(0, 1)
    assert not (small.place(0, 1) / "shard.json").exists()


# What is refused, and what to do about it


def test_missing_shards_are_named_with_the_command_that_makes_them(
    small: Job, tmp_path: Path
) -> None:
    for number in (0, 2, 3):
        small.extract(number, 5)
    message = small.refused(tmp_path / "index")
    assert "Of the 5 shards" in message
    assert "2 are missing or not finished: 1, 4." in message
    assert f"beauty-export extract CATALOGUE --output {small.folder} --shards 5" in message


def test_a_folder_without_shards_and_one_with_several_numbers_are_named(
    small: Job, tmp_path: Path
) -> None:
    assert f"There is no folder {small.folder}" in small.refused(tmp_path / "index")
    small.folder.mkdir()
    assert f"{small.folder} holds no shard" in small.refused(tmp_path / "index")
    small.extract_all(2)
    small.extract_all(3)
    assert "several numbers: 2, 3" in small.refused(tmp_path / "index")
    merged = small.merge(tmp_path / "index", shard_count=3).folder
    assert files(merged) == files(small.merge(tmp_path / "other", shard_count=2).folder)


@pytest.mark.parametrize(
    "name", ["block-0000000.npz", "products.json", "canary.tiny_b.npy", "shard.json"]
)
def test_a_damaged_or_missing_file_is_named_and_made_again(
    small: Job, tmp_path: Path, described: list[int], name: str
) -> None:
    small.extract_all(2)
    whole = files(small.place(1, 2))
    path = small.place(1, 2) / name
    flip_last_byte(path)
    if name == "shard.json":
        path.write_text(path.read_text().replace('"source"', '"sauce"'))
    message = small.refused(tmp_path / "index")
    assert str(path) in message
    if name != "shard.json":
        assert "--shards 2 --shard 1; what fits is kept" in message
    described.clear()
    assert small.extract(1, 2)[1]
    in_shard = len(Shard(1, 2).part(read_catalogue(small.catalogue)).rows)
    assert (
        sum(described) == (in_shard if name.startswith("block") else 0) + 1
    )  # and the reference image
    assert files(small.place(1, 2)) == whole
    if name != "shard.json":
        path.unlink()
        assert str(path) in small.refused(tmp_path / "index")


def test_a_shard_of_other_models_is_refused_naming_the_model(small: Job, tmp_path: Path) -> None:
    small.extract_all(2)
    other = shutil.copytree(small.repository, tmp_path / "repository")
    with (other / "tiny_b" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    message = small.refused(tmp_path / "index", engine=EngineChoice(other))
    assert f"{small.place(0, 2)} was made by tiny_b of digest" in message
    assert "--shards 2 --shard 0" in message


def test_a_shard_of_another_catalogue_is_refused_naming_a_product(
    small: Job, tmp_path: Path
) -> None:
    small.extract_all(1)
    with (small.catalogue / "catalog.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(("new", "images/p0000.png", "a new one", "", ""))
    message = small.refused(tmp_path / "index")
    assert f"{small.place(0, 1)} was made from another catalogue: 1 products differ" in message
    assert "'new'" in message
    small.extract_all(1)
    assert len(open_index(small.merge(tmp_path / "index").folder)) == 7


def test_a_renamed_shard_is_refused(small: Job, tmp_path: Path) -> None:
    small.extract_all(2)
    small.place(0, 2).rename(tmp_path / "aside")
    small.place(1, 2).rename(small.place(0, 2))
    (tmp_path / "aside").rename(small.place(1, 2))
    assert "Name it shard-00001-of-00002 again" in small.refused(tmp_path / "index")


def test_shards_that_were_not_computed_alike_are_refused(
    small: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.extract(0, 2)
    infer = EmbeddedEngine.infer

    async def otherwise(
        self: EmbeddedEngine, ensemble: str, batch: NDArray[np.uint8]
    ) -> dict[str, NDArray[np.float32]]:
        rows = await infer(self, ensemble, batch)
        return {model: np.roll(described, 1, axis=1) for model, described in rows.items()}

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "infer", otherwise)
        small.extract(1, 2)
    message = small.refused(tmp_path / "index")
    assert str(small.place(0, 2)) in message
    assert str(small.place(1, 2)) in message
    assert "not computed alike" in message


# The command line


Outcome = tuple[int, str]


@pytest.fixture
def run(
    small: Job,
    tiny_profile_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Outcome]:
    """Run a command on the small catalogue; its exit status and what it says."""
    monkeypatch.setenv("RETRIEVAL_MODEL_REPOSITORY", str(small.repository))
    monkeypatch.setenv("BEAUTY_EXPORT_PROFILE", str(tiny_profile_file))

    def run(command: str, *options: object) -> Outcome:
        arguments = ["beauty-export", command, small.catalogue, *options]
        monkeypatch.setattr(sys, "argv", [str(word) for word in arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def test_an_indexed_job_s_pods_extract_and_a_merge_builds_the_index(
    small: Job,
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "index"
    for number in range(2):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(number))
        status, said = run("extract", "--output", small.folder, "--shards", 2)
        assert status == 0
        assert f"{small.place(number, 2)}: " in said
        again = run("extract", "--output", small.folder, "--shards", 2)
        assert again == (0, f"nothing to do: {small.place(number, 2)} is complete\n")
    merged, said = run("index", "--output", root, "--from-shards", small.folder)
    assert merged == 0
    assert ": 6 products" in said
    assert files(open_index(root).folder) == files(
        small.merge(tmp_path / "whole", from_shards=None).folder
    )


def test_bad_input_ends_with_65_so_that_nobody_tries_again(
    small: Job, run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "index"
    status, said = run("index", "--output", root, "--from-shards", small.folder)
    assert (status, said[:6]) == (BAD_INPUT, "error:")
    assert BAD_INPUT == 65
    status, said = run("extract", "--output", small.folder, "--profile", "unheard-of")
    assert status == BAD_INPUT
    (small.catalogue / "catalog.csv").write_text("id,image\n")
    status, said = run("extract", "--output", small.folder)
    assert status == BAD_INPUT
    assert "description" in said


def test_an_engine_that_is_away_ends_with_1_so_that_somebody_tries_again(
    small: Job, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "TRITON_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    status, said = run(
        "extract", "--output", small.folder, "--engine", "triton", "--triton-url", address
    )
    assert status == 1
    assert address in said
