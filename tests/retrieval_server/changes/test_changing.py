"""Whatever happens in whatever order, a reader has the catalogue that the answered changes make."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from retrieval_server.changes.change import Change, encoded
from retrieval_server.changes.changed_version import ChangedVersion
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import changes_folder
from retrieval_server.models.profile import Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.retrieval_server.retrieval.test_retriever import PROFILE_ALPHAS
from tests.support.faulty_files import CrashError, FaultyFiles
from tests.support.made_up_changes import apply, random_change, rows_of
from tests.support.made_up_databases import exact_vectors
from tests.support.made_up_index import made_up_index
from tests.support.reference_search import NoEngine

SIZE = 12


class Changing(RuleBasedStateMachine):
    """A writer that may crash at any step, a reader that follows, and one that begins anew."""

    base: IndexBundle  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.folder = changes_folder(self.base.folder)
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.retriever = Retriever(self.base, NoEngine())
        self.rng = np.random.default_rng(0)
        self.catalogue = rows_of(self.base)
        self.follower = ChangedVersion(self.base, self.retriever.index_search)
        self.index = None
        self.written: list[Change] = []
        self.writer: LogWriter | None = None

    def group(self, count: int) -> list[Change]:
        ids = [*self.catalogue, "nobody"]
        return [random_change(self.rng, self.base, ids) for _ in range(count)]

    @rule(count=st.integers(1, 5))
    def change(self, count: int) -> None:
        self.writer = self.writer or LogWriter(self.folder, self.base.version)
        group = self.group(count)
        assert self.writer.append(list(map(encoded, group))) == len(self.written) + count
        self.note(group)

    @rule(count=st.integers(1, 3), step=st.integers(1, 14))
    def crash_while_changing(self, count: int, step: int) -> None:
        """The successor finds the group whole or not at all."""
        group = self.group(count)
        try:
            LogWriter(self.folder, self.base.version, FaultyFiles(step)).append(
                list(map(encoded, group))
            )
        except CrashError:
            found = LogWriter(self.folder, self.base.version).position
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
        self.follower = ChangedVersion(self.base, self.retriever.index_search)
        self.index = self.follower.catch_up()

    def note(self, group: list[Change]) -> None:
        self.written += group

    @invariant()
    def the_reader_has_the_catalogue_of_its_position(self) -> None:
        if self.index is None:
            return
        self.catalogue = rows_of(self.base)
        for change in self.written[: self.index.change_position]:
            apply(change, self.catalogue)
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
        case.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
        case("runTest").runTest()
