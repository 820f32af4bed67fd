"""An index with levels: built, opened, damaged and served like one without."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index import assembly, search_levels
from export.index.build import IndexBuild
from retrieval_server.cores import create_workers
from retrieval_server.errors import IndexBundleError
from retrieval_server.exact_search.kernels.layout import BLOCK_ROWS
from retrieval_server.exact_search.levels import encoding
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.index.publish import is_intact, open_index
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters

LEVEL_FILES = [
    "bytes.bounds.npy",
    "bytes.codes.npy",
    "coarse.bounds.npy",
    "coarse.codes.npy",
    "coarse.outliers.npy",
    "middle.bounds.npy",
    "middle.codes.npy",
    "residual.bounds.npy",
    "residual.codes.npy",
    "residual.steps.npy",
    "search.means.npy",
    "search.ranges.npy",
    "search.rotation.npy",
]


class NoEngine:
    """An engine for searches by descriptors, which never call it."""

    name = "none"


@pytest.fixture
def build(
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Build an index of the tiny catalogue with levels."""
    monkeypatch.setattr(search_levels, "SCANNED_ROWS", 10)

    def run(root: Path, half_precision: bool = False) -> Path:
        catalogue = read_catalogue(tiny_catalogue)
        return (
            IndexBuild(
                catalogue,
                tiny_profile,
                EngineChoice(tiny_repository),
                root,
                half_precision=half_precision,
            )
            .run()
            .folder
        )

    return run


def test_index_with_levels_answers_as_the_one_without(build, tiny_index: Path, tmp_path: Path):
    plain = Retriever(open_index(tiny_index), NoEngine())
    levelled = Retriever(open_index(build(tmp_path)), NoEngine())
    levelled.warm_up()
    assert "coarse" in {level.name for level in levelled.search_levels}
    assert [level.name for level in plain.search_levels] == ["originals"]
    for row in range(40):
        product = plain.bundle.product_id(row)
        for parameters in (
            SearchParameters(),
            SearchParameters(top_k=2, keep=1, alphas={"tiny_a": 0.0}),
            SearchParameters(top_k=30, alphas={"tiny_a": 1e6, "tiny_b": 1e6}),
        ):
            found = levelled.similar_to(product, parameters)
            assert found == plain.similar_to(product, parameters)


def test_two_builds_give_the_same_version_and_verify(build, tmp_path: Path):
    first, second = build(tmp_path / "one"), build(tmp_path / "two")
    assert first.name == second.name
    assert is_intact(first)
    assert {path.name for path in first.iterdir()} >= set(LEVEL_FILES)
    for name in LEVEL_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_manifest_records_what_was_fitted_on_what(build, tmp_path: Path):
    search = open_index(build(tmp_path)).manifest.search
    assert search is not None
    assert (search.fit.rows, search.fit.sample_rows) == (40, 40)
    assert search.fit.alphas == (3.0, 1.0)
    assert search.rectified == (True, True)
    assert 0 < search.fit.rotation_error < 1e-5


def test_half_precision_index_is_exact_about_what_it_stores(build, tmp_path: Path):
    single, half = build(tmp_path / "one"), build(tmp_path / "two", half_precision=True)
    assert single.name != half.name
    bundle = open_index(half)
    assert {part.dtype for part in bundle.descriptors} == {np.dtype(np.float16)}
    retriever = Retriever(bundle, NoEngine())
    for row in range(40):
        query = tuple(part[row].astype(np.float32) for part in bundle.descriptors)
        result = retriever.search(query, SearchParameters(refine=False))
        ranking = ScanSearch(bundle.descriptors).rank_all(query, (3.0, 1.0), 7)
        assert [match.row for match in result.matches] == ranking.rows.tolist()
        assert [match.similarity for match in result.matches] == ranking.similarities.tolist()


# Killed builds


class KilledError(BaseException):
    """Stands for a kill: no ``except`` of the code under test catches it."""


class Encodings:
    """Counts the pieces that are encoded; a build is killed at the end of one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.first_rows: list[int] = []
        self.killed_at: int | None = None
        encode = encoding.encode

        def counting(fit, descriptors, target, first_row):
            encoded = encode(fit, descriptors, target, first_row)
            if first_row == self.killed_at:
                raise KilledError
            self.first_rows.append(first_row)
            return encoded

        monkeypatch.setattr(encoding, "ENCODED_AT_ONCE", BLOCK_ROWS)
        monkeypatch.setattr(search_levels, "available_cores", lambda: 1)
        monkeypatch.setattr(encoding, "encode", counting)


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> Encodings:
    return Encodings(monkeypatch)


@pytest.fixture
def large(
    catalogue_folder: Callable[..., Path],
    tiny_profile: Profile,
    tiny_repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path], Path]:
    """Build an index of 200 products with levels: four pieces."""
    monkeypatch.setattr(search_levels, "SCANNED_ROWS", 10)
    catalogue = read_catalogue(catalogue_folder(families=40))

    def run(root: Path) -> Path:
        return IndexBuild(catalogue, tiny_profile, EngineChoice(tiny_repository), root).run().folder

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_build_killed_amid_the_levels_encodes_the_other_rows_only(
    large: Callable[[Path], Path], encodings: Encodings, described: list[int], tmp_path: Path
) -> None:
    undisturbed = large(tmp_path / "undisturbed")
    pieces = [0, 64, 128, 192]
    assert encodings.first_rows == pieces
    encodings.first_rows.clear()
    encodings.killed_at = 128
    with pytest.raises(KilledError):
        large(tmp_path / "killed")
    assert not (tmp_path / "killed" / "current").exists()
    encodings.killed_at = None
    done = list(encodings.first_rows)
    assert done[:2] == [0, 64]
    described.clear()
    resumed = large(tmp_path / "killed")
    assert described == []
    assert encodings.first_rows[len(done) :] == [row for row in pieces if row not in done]
    assert files(resumed) == files(undisturbed)


@pytest.mark.parametrize("lost", ["middle.codes.npy", "descriptors.tiny_b.npy", None])
def test_what_a_killed_build_has_lost_is_made_again_and_what_it_left_over_removed(
    large: Callable[[Path], Path],
    encodings: Encodings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: str | None,
) -> None:
    undisturbed, root = large(tmp_path / "undisturbed"), tmp_path / "killed"

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "build_text_index", killed)
        with pytest.raises(KilledError):
            large(root)
    bundle = root / ".building" / "bundle"
    (bundle / "half.written.npy").write_bytes(b"left over")
    if lost is not None:
        (bundle / lost).unlink()
    encodings.first_rows.clear()
    resumed = large(root)
    assert len(encodings.first_rows) == (0 if lost is None else 4)
    assert files(resumed) == files(undisturbed)


@pytest.mark.parametrize("name", LEVEL_FILES)
def test_truncated_or_missing_level_is_refused_by_name(build, tmp_path: Path, name: str):
    path = build(tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(IndexBundleError, match=rf"{name} is truncated"):
        open_index(tmp_path)
    path.unlink()
    with pytest.raises(IndexBundleError, match=rf"{name} is missing"):
        open_index(tmp_path)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no pinning on this system")
def test_each_worker_has_a_core_of_its_own_where_there_are_enough():
    cores = sorted(os.sched_getaffinity(0))
    with create_workers(len(cores)) as executor:
        barrier = np.ones(len(cores))
        places = set(executor.map(lambda _: tuple(os.sched_getaffinity(0)), barrier))
    assert all(len(place) == 1 for place in places)
    with create_workers(len(cores) + 1) as executor:
        assert executor.submit(os.sched_getaffinity, 0).result() == set(cores)
    assert sorted(os.sched_getaffinity(0)) == cores


def test_workers_whose_cores_were_taken_away_work_on_others(monkeypatch):
    def refuse(process, cores):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)

    with create_workers(1) as executor:
        assert executor.submit(int, "7").result() == 7
