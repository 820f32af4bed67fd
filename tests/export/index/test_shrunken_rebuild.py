"""A rebuild of a catalogue that has collapsed: built and kept, but not published unasked."""

import json
from pathlib import Path

import pytest

from retrieval_server.errors import IndexLossError
from retrieval_server.index.manifest import FORMAT_VERSION
from retrieval_server.index.publish import is_intact, open_index
from tests.support.export.index_builds import Build, versions


def lose_images(catalogue: Path, count: int) -> None:
    for path in sorted((catalogue / "images").iterdir())[:count]:
        path.unlink()


def rewrite(catalogue: Path, old: str, new: str) -> None:
    file = catalogue / "catalog.csv"
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")


def cut(catalogue: Path, lines: int) -> None:
    file = catalogue / "catalog.csv"
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:lines]), "utf-8")


def empty_descriptions(catalogue: Path) -> None:
    file = catalogue / "catalog.csv"
    rows = [line.split(",", 2)[:2] for line in file.read_text("utf-8").splitlines()[1:]]
    text = "".join(f"{product},{image}, \n" for product, image in rows)
    file.write_text(f"id,image,description\n{text}", "utf-8")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: lose_images(folder, 5), r"5 of 6 images can no longer be read \(83.3 %\)"),
        (lambda folder: cut(folder, 4), r"3 of 6 products are missing \(50 %\)"),
        (lambda folder: rewrite(folder, "\np", "\nq"), r"6 of 6 products are missing \(100 %\)"),
        (empty_descriptions, r"6 of 6 products have lost their description \(100 %\)"),
    ],
    ids=["images gone", "feed cut", "ids renamed", "descriptions emptied"],
)
def test_collapsed_catalogue_is_built_and_kept_but_not_published(
    changed: Path, tmp_path: Path, build: Build, damage, words: str
) -> None:
    old = build(changed, tmp_path).folder
    damage(changed)
    with pytest.raises(IndexLossError, match=words):
        build(changed, tmp_path)
    assert open_index(tmp_path).folder == old
    (new,) = set(versions(tmp_path)) - {old}
    assert is_intact(new)
    assert not (tmp_path / ".building").exists()


def test_repeated_build_says_the_same_at_once_and_publishes_with_a_larger_bound(
    changed: Path, tmp_path: Path, build: Build, described: list[int]
) -> None:
    build(changed, tmp_path)
    cut(changed, 4)
    with pytest.raises(IndexLossError) as first:
        build(changed, tmp_path)
    described.clear()
    with pytest.raises(IndexLossError) as second:
        build(changed, tmp_path)
    assert str(first.value) == str(second.value)
    built = build(changed, tmp_path, max_loss=0.5)
    assert (built.manifest, built.published, described) == (None, True, [])
    assert open_index(tmp_path).folder == built.folder
    assert not build(changed, tmp_path).published


def test_version_of_another_format_is_compared_too(
    changed: Path, tmp_path: Path, build: Build
) -> None:
    manifest = build(changed, tmp_path).folder / "manifest.json"
    former = json.loads(manifest.read_text()) | {"format_version": FORMAT_VERSION - 1}
    manifest.write_text(json.dumps(former))
    cut(changed, 4)
    with pytest.raises(IndexLossError, match="3 of 6 products are missing"):
        build(changed, tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"tiny-000000000000\n"])
def test_where_no_current_version_can_be_read_there_is_nothing_to_compare(
    changed: Path, tmp_path: Path, build: Build, content: bytes | None
) -> None:
    build(changed, tmp_path)
    (tmp_path / "current").unlink()
    if content is not None:
        (tmp_path / "current").write_bytes(content)
    cut(changed, 2)
    new = build(changed, tmp_path).folder
    assert open_index(tmp_path).folder == new
