"""Searches that share a scan have the results that they have alone."""

import itertools

import numpy as np
import pytest

from retrieval_server.exact_search.groups import Groups
from retrieval_server.exact_search.kernels.coarse import QUERIES_AT_ONCE
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.exact_search.search import ExactWanted
from retrieval_server.exact_search.shared_scan import finish, finish_together
from tests.support.made_up_databases import (
    ALPHAS,
    cascade,
    clustered_vectors,
    random_database,
    random_factors,
    random_groups,
    random_query,
    random_rows,
)

SEARCHES = {"scan": ScanSearch, "cascade": cascade}


class PassesCounted:
    """The coarse stage of a search, which notes how many searches each pass is for."""

    def __init__(self, search):
        self._stage, self.passes = search.coarse, []
        self.name = self._stage.name
        search.coarse = self

    def bound_together(self, searches, parallelism):
        self.passes.append(len(searches))
        self._stage.bound_together(searches, parallelism)


@pytest.fixture(scope="module")
def database():
    rng = np.random.default_rng(61)
    return [clustered_vectors(rng, 700, 60, True), clustered_vectors(rng, 700, 50)]


@pytest.fixture
def search(database):
    return cascade(database)


def wanted_of(database, row, **beside):
    return ExactWanted([part[row] for part in database], (3, 1), 7, **beside)


def random_wanted(rng, database):
    rows = len(database[0])
    return ExactWanted(
        random_query(rng, database),
        rng.choice(ALPHAS, len(database)).tolist(),
        int(rng.integers(1, 12)),
        int(rng.integers(rows)) if rng.random() < 0.5 else None,
        random_rows(rng, rows) if rng.random() < 0.5 else None,
        random_factors(rng, rows) if rng.random() < 0.5 else None,
        random_groups(rng, rows) if rng.random() < 0.5 else None,
    )


def assert_same(ranking, alone):
    assert ranking.rows.tolist() == alone.rows.tolist()
    assert ranking.similarities.tolist() == alone.similarities.tolist()
    assert ranking.cosines.tolist() == alone.cosines.tolist()


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.parametrize("seed", range(40))
def test_searches_together_find_what_each_finds_alone_bit_by_bit(kind, seed):
    rng = np.random.default_rng([62, seed])
    database = random_database(rng)
    search = SEARCHES[kind](database)
    wanted = [random_wanted(rng, database) for _ in range(rng.integers(1, 11))]

    found = {each.number: each.result() for each in finish_together(map(search.ranking, wanted))}

    assert sorted(found) == list(range(len(wanted)))
    for number, each in enumerate(wanted):
        assert_same(found[number], each.ranked_by(search.rank_all))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_one_pass_over_the_codes_is_for_up_to_four_searches(database, search, count):
    counted = PassesCounted(search)
    wanted = [wanted_of(database, row) for row in range(count)]

    list(finish_together(map(search.ranking, wanted)))

    whole, rest = divmod(count, QUERIES_AT_ONCE)
    assert counted.passes == [QUERIES_AT_ONCE] * whole + [rest] * (rest > 0)


def test_filters_factors_and_groups_share_a_pass_but_few_lines_are_read_alone(database, search):
    counted, rows = PassesCounted(search), len(database[0])
    half = np.arange(rows) % 2 == 0
    few = np.arange(rows) < 40
    groups = Groups((np.arange(rows) // 5).astype(np.int32), rows // 5)
    beside = [{"allowed": half}, {"allowed": few}, {"groups": groups}, {"exclude": 3}]
    half.flags.writeable = False  # a mask that others hold, too
    wanted = [wanted_of(database, 3, **each) for each in beside]

    found = {each.number: each.result() for each in finish_together(map(search.ranking, wanted))}

    assert counted.passes == [3, 1]
    for number, each in enumerate(wanted):
        assert_same(found[number], each.ranked_by(search.rank_all))


def test_error_of_one_search_does_not_concern_the_others(database, search):
    def failing(*, late):
        if late:
            yield from search.ranking(wanted_of(database, 1))
        raise LookupError("of this search")

    def searches():
        yield failing(late=False)
        yield search.ranking(wanted_of(database, 2))
        yield failing(late=True)
        yield search.ranking(wanted_of(database, 3))

    found = {each.number: each for each in finish_together(searches())}

    for number in (0, 2):
        with pytest.raises(LookupError, match="of this search"):
            found[number].result()
    for number, row in ((1, 2), (3, 3)):
        assert_same(found[number].result(), finish(search.ranking(wanted_of(database, row))))


def test_error_of_a_pass_is_that_of_each_search_in_it(database, search, monkeypatch):
    def bound_together(stage, searches, parallelism):
        raise MemoryError

    monkeypatch.setattr(type(search.coarse), "bound_together", bound_together)
    rankings = [search.ranking(wanted_of(database, row)) for row in range(3)]

    assert [type(each.outcome) for each in finish_together(rankings)] == [MemoryError] * 3


def test_a_further_search_is_asked_for_only_when_there_is_place_for_it(database, search):
    asked = itertools.count()
    unlimited = (search.ranking(wanted_of(database, next(asked))) for _ in itertools.count())

    next(finish_together(unlimited))

    assert next(asked) == QUERIES_AT_ONCE
