"""Texts joined by pairs of shards: byte for byte the index of one machine, or one clear refusal."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.listings import listings
from export.text_index import joined_texts as module
from export.text_index.build import TextIndexReport, build_text_index
from export.text_index.fit_folder import FIT_FILE
from export.text_index.joined_texts import open_joined_texts, remove_joined_texts
from export.text_index.pair_file import PAIR
from export.text_index.pair_join import PAIR_FILE, PAIRS_FILE, join_pair, shard_pairs
from export.text_index.settings import TextSettings
from export.text_index.text_fit import TextFit
from retrieval_server.errors import RetrievalError, ShardError

LISTINGS = [*listings(300, seed=3), *["lip balm"] * 5, "", "...", "!"]
NO_TEXT = ["", "...", " "]
SETTINGS = TextSettings(language_filter="none")
WORDS = ["red", "lip", "balm", "serum", "50ml", "loreal", "rare"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), max_size=14)


def ignore(_: int) -> None:
    """No progress to report."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def single(
    texts: list[str], chosen: TextSettings, folder: Path
) -> tuple[dict[str, bytes], TextIndexReport]:
    folder.mkdir()
    report = build_text_index(texts, chosen, folder, ignore)
    return files(folder), report


def sharded(
    texts: list[str], chosen: TextSettings, shards: int, folder: Path
) -> tuple[dict[str, bytes], TextIndexReport]:
    joined = joined_folder(texts, chosen, shards, folder / "texts")
    target = joined / "bundle"
    target.mkdir()
    report = take(joined, texts, chosen)
    return files(target), report


def take(folder: Path, texts: list[str], chosen: TextSettings) -> TextIndexReport:
    """Make the index of texts that are joined, in a folder beside."""
    opened = open_joined_texts(folder, chosen)
    opened.check_texts(texts)
    return opened.write(texts, folder / "bundle", chosen.max_neighbours)


def pairs_in(folder: Path) -> list[tuple[int, int, int]]:
    """The pairs of a task, whose threads write them in any order."""
    pairs = np.fromfile(folder / PAIRS_FILE, PAIR)
    assert json.loads((folder / PAIR_FILE).read_text())["pairs"] == len(pairs)
    return sorted((*sorted(pair[:2]), pair[2]) for pair in pairs.tolist())


def joined_folder(texts: list[str], chosen: TextSettings, shards: int, folder: Path) -> Path:
    TextFit(folder, shards, chosen).run(texts)
    for number in range(len(shard_pairs(shards))):
        join_pair(folder, number)
    return folder


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_index_of_joined_shards_is_byte_for_byte_that_of_one_machine(
    shards: int, tmp_path: Path
) -> None:
    expected = single(LISTINGS, SETTINGS, tmp_path / "single")
    assert expected[1].sizes.neighbours > 300
    assert sharded(LISTINGS, SETTINGS, shards, tmp_path) == expected


@pytest.mark.parametrize(
    "texts",
    [[], NO_TEXT, ["lip balm"], ["lip balm", "", "lip balm", "red lip balm"]],
    ids=["none", "no text", "one", "more shards than texts"],
)
def test_shards_may_be_empty(texts: list[str], tmp_path: Path) -> None:
    expected = single(texts, SETTINGS, tmp_path / "single")
    assert sharded(texts, SETTINGS, 6, tmp_path) == expected


@settings(max_examples=25)
@given(TEXTS, st.integers(1, 5), st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.sampled_from([None, 2]))
def test_any_texts_in_any_number_of_shards_give_the_index_of_one_machine(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    shards: int,
    threshold: float,
    max_neighbours: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    chosen = TextSettings(
        threshold=threshold, language_filter="none", max_neighbours=max_neighbours
    )
    expected = single(texts, chosen, folder / "single")
    assert sharded(texts, chosen, shards, folder) == expected


def test_filter_leaves_the_same_texts_out(tmp_path: Path) -> None:
    texts = ["Garnier champú para cabello dañado", "красная помада", *LISTINGS[:20]]
    expected = single(texts, TextSettings(), tmp_path / "single")
    assert expected[1].left_out
    assert sharded(texts, TextSettings(), 2, tmp_path) == expected


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    fit = TextFit(tmp_path, 2, SETTINGS)
    first, is_new = fit.run(LISTINGS)
    assert is_new
    joined = [join_pair(tmp_path, number) for number in range(3)]
    assert [is_new for _, is_new in joined] == [True] * 3
    assert fit.run(LISTINGS) == (first, False)
    assert [join_pair(tmp_path, number) for number in range(3)] == [
        (pair, False) for pair, _ in joined
    ]


@pytest.mark.parametrize("name", [PAIR_FILE, PAIRS_FILE])
def test_task_that_was_stopped_or_damaged_is_repeated_whole(name: str, tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 2, tmp_path)
    target = folder / "pair-00000-00001"
    before = pairs_in(target)
    (target / name).write_bytes(b"[")
    assert join_pair(folder, 1)[1]
    assert pairs_in(target) == before


def test_fit_that_was_stopped_keeps_the_pairs_that_are_joined(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 2, tmp_path)
    (folder / FIT_FILE).unlink()
    (folder / "vectors-00001.npz").write_bytes(b"")
    assert TextFit(folder, 2, SETTINGS).run(LISTINGS)[1]
    assert not join_pair(folder, 2)[1]


def test_another_fit_removes_the_pairs_of_the_one_before(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 3, tmp_path)
    TextFit(folder, 2, SETTINGS).run(LISTINGS)
    assert not list(folder.glob("pair-*"))
    assert len(list(folder.glob("vectors-*"))) == 2


def refused(folder: Path, texts: list[str] = LISTINGS, chosen: TextSettings = SETTINGS) -> str:
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    with pytest.raises(ShardError) as caught:
        take(folder, texts, chosen)
    return str(caught.value)


def test_folder_without_a_fit_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").endswith(
        f"beauty-export fit-texts CATALOGUE --output {tmp_path / 'nowhere'} --shards NUMBER"
    )
    with pytest.raises(ShardError, match="holds no fitted texts"):
        join_pair(tmp_path / "elsewhere", 0)
    assert not (tmp_path / "elsewhere").exists()


def test_missing_pairs_are_named(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 3, tmp_path)
    shutil.rmtree(folder / "pair-00000-00002")
    (folder / "pair-00002-00002" / PAIR_FILE).unlink()
    assert refused(folder).startswith(
        f"Of the 6 pairs of shards in {folder}, 2 are not joined: 2, 5. Join each with:"
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("pair-00000-00001/pairs.bin", "join-texts"),
        ("vectors-00001.npz", "fit-texts"),
        ("groups.rows.npy", "fit-texts"),
        ("counts/terms.bytes.npy", "fit-texts"),
    ],
)
@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "damaged"])
def test_missing_or_damaged_file_is_named(
    name: str, command: str, is_missing: bool, tmp_path: Path
) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 2, tmp_path)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    if not is_missing:
        path.write_bytes(content)
    said = refused(folder)
    assert said.startswith(f"{path} is missing or differs from its checksum. Run again:")
    assert f"beauty-export {command} " in said


def test_damaged_shard_stops_the_tasks_that_read_it(tmp_path: Path) -> None:
    TextFit(tmp_path, 3, SETTINGS).run(LISTINGS)
    (tmp_path / "vectors-00001.npz").write_bytes(b"no archive")
    with pytest.raises(ShardError, match=r"vectors-00001\.npz is missing or differs"):
        join_pair(tmp_path, 1)
    assert join_pair(tmp_path, 2)[1]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format_version": 1}', '{"format_version": 2}']
)
def test_damaged_manifest_is_named(content: str, tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS[:9], SETTINGS, 1, tmp_path)
    for path in (folder / "pair-00000-00000" / PAIR_FILE, folder / FIT_FILE):
        path.write_text(content)
        said = refused(folder)
        assert said.startswith(f"{path} ")
        assert "is damaged" in said or "has format 2" in said


def test_pair_of_another_fit_is_refused(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 1, tmp_path / "texts")
    other = joined_folder(LISTINGS[::-1], SETTINGS, 1, tmp_path / "others")
    shutil.rmtree(folder / "pair-00000-00000")
    shutil.copytree(other / "pair-00000-00000", folder / "pair-00000-00000")
    assert refused(folder) == (
        f"{folder / 'pair-00000-00000'} was joined before the texts were fitted again. Run again: "
        f"beauty-export join-texts {folder} --pair 0"
    )
    assert join_pair(folder, 0)[1]


def test_other_settings_and_other_texts_are_refused(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 1, tmp_path)
    said = refused(folder, chosen=TextSettings(language_filter="none", threshold=0.7))
    assert "fitted with --threshold 0.6, the index has 0.7" in said
    said = refused(folder, chosen=TextSettings())
    assert "fitted with --language-filter none, the index has english-1" in said
    assert "not those of the 2 products of this index" in refused(folder, LISTINGS[:2])


def test_pair_beyond_the_last_one_is_refused(tmp_path: Path) -> None:
    TextFit(tmp_path, 2, SETTINGS).run(LISTINGS[:9])
    with pytest.raises(ShardError, match="There is no pair 3: the 2 shards make 3 pairs, from 0"):
        join_pair(tmp_path, 3)


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TextFit(tmp_path, 1, SETTINGS).run(LISTINGS)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("export.text_index.pair_join.write_manifest", full)
    with pytest.raises(RetrievalError, match=r"Cannot write .*pair-00000-00000: No space left"):
        join_pair(tmp_path, 0)


def test_removal_takes_what_was_joined_and_nothing_else(tmp_path: Path) -> None:
    folder = joined_folder(LISTINGS, SETTINGS, 2, tmp_path / "texts")
    (folder / "mine.txt").write_text("mine")
    remove_joined_texts(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    folder = joined_folder(LISTINGS, SETTINGS, 2, tmp_path / "others")
    remove_joined_texts(folder)
    assert not folder.exists()
    remove_joined_texts(folder)  # nothing is left to remove


def test_only_some_of_many_missing_pairs_are_named(tmp_path: Path) -> None:
    TextFit(tmp_path, 4, SETTINGS).run(LISTINGS[:9])
    assert module.NAMED < 10
    assert "10 are not joined: 0, 1, 2, 3, 4 …. Join each" in refused(tmp_path)


def test_fit_is_written_in_full_before_its_manifest(tmp_path: Path) -> None:
    TextFit(tmp_path, 2, SETTINGS).run(LISTINGS)
    manifest = json.loads((tmp_path / FIT_FILE).read_text())
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*manifest["files"], FIT_FILE, ".lock"}
