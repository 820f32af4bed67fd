"""The commands ``fit-texts``, ``join-texts`` and ``index --joined-texts``."""

from pathlib import Path

import pytest

from retrieval_server.command_line.outcome import BAD_INPUT
from retrieval_server.index.publish import open_index
from tests.support.export.beauty_export import Run, check_failed

PAIRS = 3  # of two shards


def bundle_files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in open_index(root).folder.iterdir()}


def join_all(run: Run, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(PAIRS):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(number))
        joined = run("join-texts", texts)
        assert joined.exit_code == 0
        assert joined.stderr.endswith("pairs of texts found\n")
        again = run("join-texts", texts)
        assert again.stderr == f"nothing to do: pair {number} in {texts} is joined\n"
    monkeypatch.delenv("JOB_COMPLETION_INDEX")


def test_an_indexed_job_s_pods_join_the_texts_and_the_index_is_that_of_one_machine(
    run: Run,
    catalogue: Path,
    index_options: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    min((catalogue / "images").iterdir()).write_bytes(b"no image")
    shards, texts, root = tmp_path / "shards", tmp_path / "texts", tmp_path / "index"
    assert run("extract", catalogue, "--output", shards, *index_options).exit_code == 0
    fitting = ("fit-texts", catalogue, "--output", texts, "--shards", 2, "--from-shards", shards)
    assert f"{texts}: 5 texts, " in run(*fitting).stderr
    assert run(*fitting).stderr.endswith(f"nothing to do: the texts in {texts} are fitted\n")
    join_all(run, texts, monkeypatch)
    taken = ("--joined-texts", texts, "--from-shards", shards, "--remove-shards")
    built = run("index", catalogue, "--output", root, *taken, *index_options)
    assert ": 5 products" in built.stderr
    assert not shards.exists()
    assert not texts.exists()
    assert run("index", catalogue, "--output", tmp_path / "one", *index_options).exit_code == 0
    assert bundle_files(root) == bundle_files(tmp_path / "one")


def test_texts_of_products_that_the_index_does_not_have_are_refused_in_one_line(
    run: Run,
    catalogue: Path,
    index_options: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, root = tmp_path / "texts", tmp_path / "index"
    indexing = ("index", catalogue, "--output", root, "--joined-texts", texts, *index_options)
    check_failed(run(*indexing), f"{texts} holds no fitted texts. Fit them with: beauty-export")
    assert run("fit-texts", catalogue, "--output", texts, "--shards", 2).exit_code == 0
    refused = run(*indexing)
    assert refused.exit_code == BAD_INPUT
    check_failed(refused, f"Of the 3 pairs of shards in {texts}, 3 are not joined: 0, 1, 2.")
    join_all(run, texts, monkeypatch)
    other = run(*indexing, "--threshold", "0.7")
    check_failed(other, "--threshold 0.6, the index has 0.7")
    min((catalogue / "images").iterdir()).write_bytes(b"no image")
    check_failed(run(*indexing), f"The 6 texts in {texts} are not those of the 5 products")
    assert not (root / "current").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("join-texts", "nowhere", "--pair", 0), "nowhere holds no fitted texts"),
        (("fit-texts", "nowhere", "--output", "texts"), "nowhere"),
    ],
)
def test_input_that_is_not_there_ends_with_65(
    run: Run,
    arguments: tuple[object, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run(*arguments)
    assert outcome.exit_code == BAD_INPUT
    check_failed(outcome, expected)
    assert list(tmp_path.iterdir()) == []


def test_pair_that_does_not_exist_is_refused(run: Run, catalogue: Path, tmp_path: Path) -> None:
    assert run("fit-texts", catalogue, "--output", tmp_path, "--shards", 2).exit_code == 0
    check_failed(run("join-texts", tmp_path, "--pair", 3), "There is no pair 3: the 2 shards make")
    misused = run("join-texts", tmp_path, "--pair", -1)
    assert misused.exit_code == 2


def test_remove_shards_needs_something_to_remove(run: Run, catalogue: Path, tmp_path: Path) -> None:
    outcome = run("index", catalogue, "--output", tmp_path / "index", "--remove-shards")
    assert outcome.exit_code == 2
    assert "It goes with --from-shards or --joined-texts." in " ".join(outcome.stderr.split())
