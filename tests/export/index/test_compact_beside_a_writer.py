"""Compaction while a server takes changes: none is lost, and every search is that of its moment."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner

from export.cli import app
from export.index import hand_over
from export.index.compact import compact
from retrieval_server.changes.hand_over import is_offered
from retrieval_server.errors import ChangeLogError
from retrieval_server.index.publish import current_version, open_index
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import Served, ServedBy
from tests.support.tiny_world import DIMENSIONS, TINY_PROFILE

SHOWN = 10
OFTEN_S = 0.05

Vectors = tuple[np.ndarray, ...]


def vectors(rng: np.random.Generator) -> Vectors:
    """Random descriptors of length 1, as a request has them."""
    drawn = [rng.normal(size=length) for length in DIMENSIONS.values()]
    return tuple((vector / np.linalg.norm(vector)).astype(np.float32) for vector in drawn)


def message(descriptors: Vectors) -> pb.Descriptors:
    return pb.Descriptors(
        by_model={
            model: pb.Descriptor(values=vector)
            for model, vector in zip(DIMENSIONS, descriptors, strict=True)
        }
    )


@dataclass
class Stream:
    """Upserts without a pause, each of a new product or one of the last ones, and what is answered.

    Attributes:
        sent: the product and the descriptors of each.
        answers: to each, in their order.
        versions: of the answers.
    """

    served: Served
    sent: list[tuple[str, Vectors]] = field(default_factory=list)
    answers: list[pb.UpsertResponse] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        self.answers.extend(self.served.stub.Upsert(self._requests(), timeout=PATIENCE_S))

    def _requests(self) -> Iterator[pb.UpsertRequest]:
        rng = np.random.default_rng(1)
        while not self.enough.is_set():
            product_id = f"n{rng.integers(max(10, len(self.sent)))}"
            self.sent.append((product_id, vectors(rng)))
            yield pb.UpsertRequest(product_id=product_id, descriptors=message(self.sent[-1][1]))


@dataclass
class Searches:
    """Searches without a pause."""

    served: Served
    seed: int
    found: list[tuple[Vectors, pb.SearchResponse]] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        rng = np.random.default_rng(self.seed)
        while not self.enough.is_set():
            query = vectors(rng)
            answer = self.served.search(descriptors=message(query), top_k=SHOWN, refine=False)
            self.found.append((query, answer))


class Catalogue:
    """Every row that there ever was, and the positions at which it was part of the catalogue."""

    def __init__(self, index: Path, sent: list[tuple[str, Vectors]]) -> None:
        base = open_index(index)
        self.ids = [base.product_id(row) for row in range(len(base))]
        self.ids += [product_id for product_id, _ in sent]
        self.matrices = [
            np.concatenate([matrix, np.stack([drawn[n] for _, drawn in sent])]).astype(np.float64)
            for n, matrix in enumerate(base.descriptors)
        ]
        self.since = np.concatenate([np.zeros(len(base)), np.arange(1, len(sent) + 1)])
        self.until = np.full(len(self.ids), np.inf)
        newest: dict[str, int] = {}
        for row, product_id in enumerate(self.ids):
            if product_id in newest:
                self.until[newest[product_id]] = self.since[row]
            newest[product_id] = row

    def at(self, position: int) -> np.ndarray:
        return np.flatnonzero((self.since <= position) & (position < self.until))

    def best(self, query: Vectors, position: int) -> list[str]:
        similarity = np.ones(len(self.ids))
        for alpha, matrix, vector in zip(
            TINY_PROFILE.alphas.values(), self.matrices, query, strict=True
        ):
            similarity *= 1 + alpha * (matrix @ vector)
        rows = self.at(position)
        return [self.ids[row] for row in rows[np.argsort(-similarity[rows], kind="stable")]][:SHOWN]


def test_a_stream_of_changes_goes_on_through_two_compactions_and_none_is_lost(
    served_by: ServedBy, tiny_index_copy: Path, tmp_path: Path
) -> None:
    settings = {"index": tiny_index_copy, "reload_every_s": OFTEN_S}
    versions = [current_version(tiny_index_copy)]
    with (
        served_by(writable=True, **settings) as writer,
        served_by(**settings) as follower,
        ThreadPoolExecutor(3) as executor,
    ):
        stream = Stream(writer)
        searches = [Searches(writer, 2), Searches(follower, 3)]
        running = [executor.submit(each.run) for each in (stream, *searches)]
        try:
            for _ in range(2):
                before = len(stream.sent)
                eventually(lambda before=before: len(stream.sent) > before + 50)
                done = CliRunner().invoke(app, ["compact", str(tiny_index_copy)])
                assert done.exit_code == 0, done.stderr
                versions.append(current_version(tiny_index_copy))
                for each in searches:
                    eventually(lambda each=each: each.found[-1][1].index_version == versions[-1])
        finally:
            for each in (stream, *searches):
                each.enough.set()
            for each in running:
                each.result(PATIENCE_S)
        assert [(each.code, each.message) for each in stream.answers] == [(0, "")] * len(
            stream.sent
        )
        positions = [each.change_position for each in stream.answers]
        assert positions == list(range(1, len(stream.sent) + 1))
        assert list(dict.fromkeys(each.index_version for each in stream.answers)) == versions
    catalogue = Catalogue(tiny_index_copy / versions[0], stream.sent)
    for each in searches:
        seen = [answer.change_position for _, answer in each.found]
        assert seen == sorted(seen)
        for query, answer in each.found:
            ids = [match.product_id for match in answer.results]
            assert ids == catalogue.best(query, answer.change_position)
    compact(tiny_index_copy)
    index = open_index(tiny_index_copy)
    index.verify()
    assert [index.product_id(row) for row in range(len(index))] == [
        catalogue.ids[row] for row in catalogue.at(len(stream.sent))
    ]


def test_a_version_that_comes_back_does_not_bring_its_former_changes(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    first = current_version(tiny_index_copy)
    drawn = message(vectors(np.random.default_rng(0)))
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=OFTEN_S) as writer:
        list(
            writer.stub.Upsert(
                iter([pb.UpsertRequest(product_id="new", descriptors=drawn)]), timeout=PATIENCE_S
            )
        )
        assert compact(tiny_index_copy).changes == 1
        second = current_version(tiny_index_copy)
        writer.stub.Delete(pb.DeleteRequest(product_ids=["new"]), timeout=PATIENCE_S)
        assert compact(tiny_index_copy).changes == 1
        assert (current_version(tiny_index_copy), second != first) == (first, True)
        missing = writer.stub.GetProducts(
            pb.GetProductsRequest(product_ids=["new"]), timeout=PATIENCE_S
        )
        assert (list(missing.missing_ids), missing.change_position) == (["new"], 2)
    assert compact(tiny_index_copy).changes == 0


def test_changes_that_undo_each_other_make_the_same_version_without_changes(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    version = current_version(tiny_index_copy)
    drawn = message(vectors(np.random.default_rng(0)))
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=OFTEN_S) as writer:
        for _ in range(2):
            request = pb.UpsertRequest(product_id="new", descriptors=drawn)
            list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
            writer.stub.Delete(pb.DeleteRequest(product_ids=["new"]), timeout=PATIENCE_S)
            assert compact(tiny_index_copy).changes == 2
            assert compact(tiny_index_copy).changes == 0
    assert current_version(tiny_index_copy) == version


def test_old_versions_that_nobody_serves_are_removed(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    drawn = message(vectors(np.random.default_rng(0)))
    versions = [current_version(tiny_index_copy)]
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=OFTEN_S) as writer:
        for product_id in ("a", "b"):
            request = pb.UpsertRequest(product_id=product_id, descriptors=drawn)
            list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
            done = CliRunner().invoke(
                app, ["compact", str(tiny_index_copy), "--keep-versions", "1"]
            )
            versions.append(current_version(tiny_index_copy))
            eventually(lambda: writer.search(product_id="p0001").index_version == versions[-1])
    assert f"old versions removed: {versions[0]}" in done.stderr
    assert not (tiny_index_copy / versions[0]).exists()
    assert not (tiny_index_copy / "changes" / versions[0]).exists()
    assert (tiny_index_copy / versions[1]).exists(), "servers have yet to change to the new one"


def test_a_writer_that_does_not_reload_keeps_its_version_and_its_changes(
    served_by: ServedBy, tiny_index_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_over, "PATIENCE_S", 0.2)
    version = current_version(tiny_index_copy)
    drawn = message(vectors(np.random.default_rng(0)))
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=0) as writer:
        request = pb.UpsertRequest(product_id="new", descriptors=drawn)
        list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
        with pytest.raises(ChangeLogError, match=r"not current.*process \d+.*--reload-every-s"):
            compact(tiny_index_copy)
        assert current_version(tiny_index_copy) == version
        list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
    assert compact(tiny_index_copy).changes == 2


def test_the_command_takes_over_from_a_writer_that_ends_and_no_other_one_writes_to_the_old_version(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    settings = {"index": tiny_index_copy, "writable": True, "reload_every_s": 0}
    request = pb.UpsertRequest(
        product_id="new", descriptors=message(vectors(np.random.default_rng(0)))
    )
    writing = ExitStack()
    writer = writing.enter_context(served_by(**settings))
    with writing, served_by(**settings) as other, ThreadPoolExecutor(1) as executor:
        (before,) = writer.stub.Upsert(iter([request]), timeout=PATIENCE_S)
        compaction = executor.submit(compact, tiny_index_copy)
        eventually(lambda: is_offered(tiny_index_copy) or compaction.done())
        list(writer.stub.Upsert(iter([request]), timeout=PATIENCE_S))
        writing.close()
        assert compaction.result(PATIENCE_S).changes == 1
        (refused,) = other.stub.Upsert(iter([request]), timeout=PATIENCE_S)
        assert refused.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert "has a new version" in refused.message
    version = current_version(tiny_index_copy)
    assert version != before.index_version
    with served_by(index=tiny_index_copy) as follower:
        found = follower.search(product_id="new")
        assert (found.index_version, found.change_position) == (version, 2)
