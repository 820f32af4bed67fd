"""Whatever happens in whatever order, a reader has the catalogue that the answered changes make."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from export.index.compact import compact
from export.index.hand_over import hand_over
from retrieval_server.changes.change import Change, encoded
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.hand_over import CompactedVersion
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import CHANGES_FOLDER, changes_folder, has_changes
from retrieval_server.index.publish import make_current, open_index
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS
from tests.support.faulty_files import CrashError, FaultyFiles
from tests.support.made_up_changes import Row, apply, random_change, rows_of
from tests.support.made_up_databases import exact_vectors
from tests.support.made_up_index import made_up_index
from tests.support.reference_search import NoEngine

SIZE = 12


class Changing(RuleBasedStateMachine):
    """A writer that may crash at any step, a reader that follows, and one that begins anew.

    Compactions change the version, while changes arrive. Positions go on.
    """

    base: IndexBundle  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.root = self.base.folder.parent
        shutil.rmtree(self.root / CHANGES_FOLDER, ignore_errors=True)
        make_current(self.root, self.base.version)
        self.version = self.base
        self.retriever = Retriever(self.base, NoEngine())
        self.rng = np.random.default_rng(0)
        self.catalogue = rows_of(self.base)
        self.follower = ChangedVersion.in_files(self.base, self.retriever.index_search)
        self.index = None
        self.written: list[Change] = []
        self.writer: LogWriter | None = None

    @property
    def folder(self) -> Path:
        return changes_folder(self.version.folder)

    def group(self, count: int) -> list[Change]:
        ids = [*self.catalogue, "nobody"]
        return [random_change(self.rng, self.base, ids) for _ in range(count)]

    @rule(count=st.integers(1, 5))
    def change(self, count: int) -> None:
        self.writer = self.writer or LogWriter(self.folder, self.version.version)
        group = self.group(count)
        assert self.writer.append(list(map(encoded, group))) == len(self.written) + count
        self.note(group)

    @rule(count=st.integers(1, 3), step=st.integers(1, 14))
    def crash_while_changing(self, count: int, step: int) -> None:
        """The successor finds the group whole or not at all."""
        group = self.group(count)
        try:
            LogWriter(self.folder, self.version.version, FaultyFiles(step)).append(
                list(map(encoded, group))
            )
        except CrashError:
            found = LogWriter(self.folder, self.version.version).position
            assert found in {len(self.written), len(self.written) + count}
            if found == len(self.written):
                group = []
        self.writer = None
        self.note(group)

    @rule()
    def follow(self) -> None:
        self.index = self.follower.catch_up() or self.index

    @precondition(lambda self: self.written)
    @rule()
    def begin_anew(self) -> None:
        self.follower = ChangedVersion.in_files(self.version, self.retriever.index_search)
        self.index = self.follower.catch_up() or self.version

    @precondition(lambda self: has_changes(self.version.folder))
    @rule(count=st.integers(0, 3))
    def compact_while_changes_arrive(self, count: int) -> None:
        """The server that the reader is in changes to the new version."""
        group = self.group(count)

        def arrive(root: Path, compacted: CompactedVersion) -> None:
            if group:
                self.change_by(group)
            hand_over(root, compacted)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("export.index.compact.hand_over", arrive)
            is_done = bool(len(self.now())) and compact(self.root).changes
        if is_done:
            self.writer, self.version = None, open_index(self.root)
            self.retriever = Retriever(self.version, NoEngine())
            self.begin_anew()
            if self.index.change_position > len(self.written):  # the same version, a new log
                self.note(group)

    def change_by(self, group: list[Change]) -> None:
        LogWriter(self.folder, self.version.version).append(list(map(encoded, group)))
        self.note(group)

    def now(self) -> dict[str, Row]:
        """The catalogue that all changes make."""
        return self.at(len(self.written))

    def at(self, position: int) -> dict[str, Row]:
        """The catalogue that the changes up to a position make."""
        catalogue = rows_of(self.base)
        for change in self.written[:position]:
            apply(change, catalogue)
        return catalogue

    def note(self, group: list[Change]) -> None:
        self.written += group

    @invariant()
    def the_reader_has_the_catalogue_of_its_position(self) -> None:
        if self.index is None:
            return
        self.catalogue = self.at(self.index.change_position)
        assert len(self.index) == len(self.catalogue)
        query = tuple(exact_vectors(self.rng, 1)[0] for _ in PROFILE_ALPHAS)
        found = self.retriever.over(self.index).search(
            query, SearchParameters(top_k=100, refine=False)
        )
        similarities = {
            product_id: np.prod(
                [
                    1 + alpha * float(descriptor @ vector)
                    for alpha, descriptor, vector in zip(
                        PROFILE_ALPHAS, row.descriptors, query, strict=True
                    )
                ]
            )
            for product_id, row in self.catalogue.items()
        }
        best = sorted(similarities, key=lambda product_id: -similarities[product_id])[:100]
        assert [self.index.product_id(match.row) for match in found.matches] == best


def test_readers_have_what_was_answered_whatever_happens(
    tiny_profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = made_up_index(Path(folder) / "version", tiny_profile, np.random.default_rng(4), SIZE)
        monkeypatch.setattr(Changing, "base", base, raising=False)
        case = Changing.TestCase
        case.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
        case("runTest").runTest()
