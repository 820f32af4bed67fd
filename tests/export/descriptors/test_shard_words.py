"""The words on the images of a shard: read once, kept by the digest, and merged with the others."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from export.descriptors import read_words
from export.descriptors.image_reading import chosen_reader
from export.descriptors.shard_manifest import Unread, read_shard_manifest
from export.descriptors.words_file import words_file
from retrieval_server.errors import (
    EngineDeadlineError,
    EngineError,
    EngineUnavailableError,
    RetrievalError,
)
from retrieval_server.index.publish import open_index
from retrieval_server.models.photo import Photo
from retrieval_server.models.profile import Profile
from retrieval_server.reading import reader as reading
from retrieval_server.reading.reader import Reader, ReadLine
from tests.support.export.shard_job import Job, files
from tests.support.text_photo import text_image

TEXTS = {
    "a": ["NUXE", "BODY OIL"],
    "b": ["Bioderma 100 ml"],
    "c": [],
    "d": ["Caudalie"],
    "e": ["Weleda"],
    "again": ["NUXE", "BODY OIL"],  # the file of a under another name
}
DISTINCT = len(TEXTS) - 1
Hold = Callable[[str], None]


@pytest.fixture
def printed(tmp_path: Path, tiny_profile: Profile, reader_repository: Path) -> Job:
    """A catalogue of images with text, one of which cannot be decoded."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    lines = ["id,image,description"]
    for name, texts in TEXTS.items():
        text_image(*texts, size=(320, 160), height=28, left=12).save(folder / f"{name}.png")
        lines.append(f"{name},{name}.png,a thing")
    (folder / "broken.png").write_bytes(b"no image")
    lines.append("broken,broken.png,a thing")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    profile = replace(tiny_profile, reader="ppocr")
    return Job(folder, profile, reader_repository, tmp_path / "shards")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes of the photos that are read."""
    photos: list[tuple[int, int]] = []
    one_by_one(monkeypatch)
    whole = Reader.read

    async def counting(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
        photos.append((photo.width, photo.height))
        return await whole(reader, photo)

    monkeypatch.setattr(Reader, "read", counting)
    return photos


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine work on one image at a time."""
    monkeypatch.setattr("export.descriptors.engine_choice.available_cores", lambda: 1)
    monkeypatch.setattr("retrieval_server.engines.in_process.IMAGES_PER_WORKER", 1)


def fails_at(monkeypatch: pytest.MonkeyPatch, calls: set[int], error: Exception) -> None:
    """Let the reader fail at some calls, counted from 0."""
    whole, number = Reader.read, -1

    async def failing(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
        nonlocal number
        number += 1
        if number in calls:
            raise error
        return await whole(reader, photo)

    monkeypatch.setattr(Reader, "read", failing)


def words_of(job: Job, number: int = 0, count: int = 1) -> dict[str, object]:
    """The entries of a shard's file, by digest."""
    name = words_file(chosen_reader(job.profile, job.repository))
    lines = (job.place(number, count) / name).read_text(encoding="utf-8").splitlines()
    return {line[:64]: json.loads(line[65:]) for line in lines}


def test_shards_that_were_read_merge_into_the_index_of_one_run(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]]
) -> None:
    whole = printed.merge(tmp_path / "whole", from_shards=None, reads_images=True)
    assert len(read) == DISTINCT
    for number in range(3):
        shard, is_new = printed.extract(number, 3, reads_images=True)
        assert is_new
        assert shard.manifest.unread == Unread()
    read.clear()
    merged = {
        choice: printed.merge(tmp_path / str(choice), reads_images=choice).folder
        for choice in (None, True, False)
    }
    assert not read
    assert files(merged[None]) == files(merged[True]) == files(whole.folder)
    assert not open_index(merged[False]).manifest.words.reader
    bundle = open_index(whole.folder)
    assert {
        bundle.product_id(row): [line.text.replace(" ", "") for line in bundle.read(row)]
        for row in range(len(bundle))
    } == {name: [text.replace(" ", "") for text in texts] for name, texts in TEXTS.items()}


def test_a_reading_that_was_stopped_goes_on_and_reads_nothing_twice(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = EngineUnavailableError("Triton cannot be used now")
    with monkeypatch.context() as patch:
        fails_at(patch, set(range(3, 99)), outage)
        with pytest.raises(EngineUnavailableError, match="cannot be used now"):
            printed.extract(0, 1, reads_images=True)
    assert len(read) == 3
    (kept,) = printed.place(0, 1).glob("words-*")
    with kept.open("a", encoding="utf-8") as file:
        file.write("0123")  # cut off by a kill
    assert printed.extract(0, 1, reads_images=True)[1]
    assert len(read) == DISTINCT
    fresh = Job(printed.catalogue, printed.profile, printed.repository, tmp_path / "fresh")
    fresh.extract(0, 1, reads_images=True)
    assert files(printed.place(0, 1)) == files(fresh.place(0, 1))


def test_images_are_read_after_they_were_described_and_what_was_read_is_kept(
    printed: Job, read: list[tuple[int, int]], described: list[int]
) -> None:
    printed.extract(0, 1)
    before = files(printed.place(0, 1))
    described.clear()
    assert printed.extract(0, 1, reads_images=True)[1]
    assert (len(read), sum(described)) == (DISTINCT, 1)  # the reference image
    after = files(printed.place(0, 1))
    assert {name: after[name] for name in before if name != "shard.json"} == {
        name: content for name, content in before.items() if name != "shard.json"
    }
    assert not printed.extract(0, 1, reads_images=True)[1]
    unread, _ = printed.extract(0, 1)
    assert not unread.manifest.reader
    assert printed.extract(0, 1, reads_images=True)[1]
    assert files(printed.place(0, 1)) == after
    assert len(read) == DISTINCT


def test_what_an_index_has_read_is_taken_over(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]]
) -> None:
    root = tmp_path / "index"
    first = printed.merge(root, from_shards=None, reads_images=True).folder
    read.clear()
    text_image("Avene", size=(330, 160), height=28, left=12).save(printed.catalogue / "c.png")
    for number in range(2):
        printed.extract(number, 2, reads_images=True, reuse=root)
    assert read == [(330, 160)]
    assert printed.merge(root).folder != first
    with (first / "read.bytes.npy").open("r+b") as damaged:
        damaged.seek(-3, 2)
        damaged.write(b"?")
    read.clear()
    shutil.rmtree(printed.folder)
    printed.extract(0, 1, reads_images=True, reuse=first)
    assert len(read) == DISTINCT


def test_shards_read_and_not_read_are_not_merged(printed: Job, tmp_path: Path) -> None:
    printed.extract(0, 2, reads_images=True)
    printed.extract(1, 2)
    for choice in (None, True):
        message = printed.refused(tmp_path / "index", reads_images=choice)
        assert f"{printed.place(1, 2)} was made without --read-images" in message or (
            f"{printed.place(1, 2)} without it" in message
        )
        assert "--shards 2 --shard 1 --read-images; what fits is kept" in message
    assert printed.merge(tmp_path / "index", reads_images=False).manifest is not None


def test_shards_of_another_reader_are_refused_and_read_again(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed.extract(0, 1, reads_images=True)
    former = set(printed.place(0, 1).glob("words-*"))
    monkeypatch.setattr(reading, "READING", "other rules")
    message = printed.refused(tmp_path / "index")
    assert f"{printed.place(0, 1)} was read by a reader of digest" in message
    assert "--shards 1 --shard 0 --read-images" in message
    read.clear()
    assert printed.extract(0, 1, reads_images=True)[1]
    assert len(read) == DISTINCT
    assert not former & set(printed.place(0, 1).glob("words-*"))


def test_damaged_words_are_named_and_read_again(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]]
) -> None:
    printed.extract(0, 1, reads_images=True)
    (path,) = printed.place(0, 1).glob("words-*")
    path.write_text(path.read_text(encoding="utf-8").replace("NUXE", "NUKE"), encoding="utf-8")
    assert str(path) in printed.refused(tmp_path / "index")
    read.clear()
    assert printed.extract(0, 1, reads_images=True)[1]
    assert len(read) == DISTINCT
    assert "NUXE" in path.read_text(encoding="utf-8")


def test_an_image_on_which_the_reader_fails_is_told_and_tried_again_by_the_next_run(
    printed: Job, tmp_path: Path, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fails_at(patch, {1, DISTINCT}, EngineError("Model text_detector failed: out of memory"))
        shard, _ = printed.extract(0, 1, reads_images=True)
    assert shard.manifest.unread == Unread(
        1, f"{printed.catalogue / 'b.png'}: Model text_detector failed: out of memory"
    )
    assert list(words_of(printed).values()).count(None) == 1
    built = printed.merge(tmp_path / "index")
    assert built.unread == shard.manifest.unread
    bundle = open_index(built.folder)
    assert [bundle.read(row) for row in range(2)][1] == ()
    read.clear()
    shard, is_new = printed.extract(0, 1, reads_images=True)
    assert (is_new, len(read), shard.manifest.unread) == (True, 1, Unread())
    assert not printed.extract(0, 1, reads_images=True)[1]
    again = printed.merge(tmp_path / "index", from_shards=None, reads_images=True)
    assert again.unread == Unread()
    assert len(read) == 2  # the version that lacks it does not count as read


def test_one_outage_is_no_reason_to_leave_an_image_out(
    printed: Job, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_at(monkeypatch, {1}, EngineUnavailableError("Triton is overloaded"))
    shard, _ = printed.extract(0, 1, reads_images=True)
    assert shard.manifest.unread == Unread()
    assert len(read) == DISTINCT


def test_an_image_that_takes_too_long_does_not_hold_up_the_others(
    printed: Job, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = EngineDeadlineError("Triton did not answer within the deadline.")
    fails_at(monkeypatch, {0, DISTINCT}, late)
    shard, _ = printed.extract(0, 1, reads_images=True)
    assert shard.manifest.unread.count == 1
    assert "a.png: Triton did not answer within the deadline" in shard.manifest.unread.first
    assert len(read) == DISTINCT - 1


async def never(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
    await read_words.asyncio.Event().wait()
    raise AssertionError


def test_an_engine_that_answers_no_image_ends_the_reading(
    printed: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one(monkeypatch)
    monkeypatch.setattr(Reader, "read", never)
    monkeypatch.setattr(read_words, "IMAGE_TIMEOUT_S", 0.01)
    with pytest.raises(EngineDeadlineError, match=r"It was not read within 0\.01 s"):
        printed.extract(0, 1, reads_images=True)
    assert read_shard_manifest(printed.place(0, 1)) is None


def test_an_image_that_changes_before_it_is_read_leaves_the_shard_unfinished(
    printed: Job, monkeypatch: pytest.MonkeyPatch, read: list[tuple[int, int]]
) -> None:
    whole = Reader.read

    async def read_and_change(reader: Reader, photo: Photo) -> tuple[ReadLine, ...]:
        Image.new("RGB", (10, 10)).save(printed.catalogue / "e.png")  # it would be read last
        return await whole(reader, photo)

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "read", read_and_change)
        with pytest.raises(RetrievalError, match="changed during the build"):
            printed.extract(0, 1, reads_images=True)
    assert (10, 10) not in read
    assert printed.extract(0, 1, reads_images=True)[1]
    assert read[-1] == (10, 10)


def test_shards_without_words_are_refused_where_words_are_wanted(
    printed: Job, tmp_path: Path
) -> None:
    printed.extract(0, 1)
    message = printed.refused(tmp_path / "index", reads_images=True)
    assert f"{printed.place(0, 1)} was made without --read-images" in message
