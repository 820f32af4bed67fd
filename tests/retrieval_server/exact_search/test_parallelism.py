"""A lone search is spread over idle cores; results and busy searches do not notice."""

import os
import threading
import time

import numpy as np
import pytest

from retrieval_server.exact_search.cascade import CascadeSearch, CascadeSettings
from retrieval_server.exact_search.parallelism import IntraQueryParallelism
from tests.support.made_up_databases import (
    ALPHAS,
    encoded,
    random_database,
    random_query,
    random_rows,
)
from tests.support.patience import PATIENCE_S


def spread(parallelism, count, at_once):
    """What each thread did of some work, as sorted pieces."""
    done = []

    def work(first, last):
        done.append((first, last, threading.current_thread()))
        time.sleep(0.005)

    with parallelism.searching():
        parallelism.share(work, count, at_once)
    return sorted(done, key=lambda piece: piece[:2])


@pytest.mark.parametrize(("count", "at_once"), [(0, 3), (1, 3), (3, 3), (4, 3), (100, 7)])
@pytest.mark.parametrize("cores", [1, 2, 5])
def test_every_row_is_done_once(cores, count, at_once):
    pieces = [piece[:2] for piece in spread(IntraQueryParallelism(cores), count, at_once)]

    assert [row for first, last in pieces for row in range(first, last)] == list(range(count))


def test_idle_cores_help_and_busy_ones_do_not():
    cores = IntraQueryParallelism(3)

    assert len({thread for *_, thread in spread(cores, 300, 1)}) == 3
    with cores.searching(), cores.searching():
        assert {thread for *_, thread in spread(cores, 300, 1)} == {threading.current_thread()}
    assert len({thread for *_, thread in spread(cores, 300, 1)}) == 3


def test_little_work_is_not_handed_over():
    assert {thread for *_, thread in spread(IntraQueryParallelism(3), 50, 50)} == {
        threading.current_thread()
    }


def test_a_helper_that_gets_no_core_is_not_waited_for():
    cores, goes_on = IntraQueryParallelism(3), threading.Event()
    all_busy = threading.Barrier(4)

    def wait(first, last):
        all_busy.wait(PATIENCE_S)
        goes_on.wait(PATIENCE_S)

    def search():
        with cores.searching():
            cores.share(wait, 3, 1)

    other = threading.Thread(target=search)  # it takes both helpers
    other.start()
    all_busy.wait(PATIENCE_S)
    try:
        pieces = spread(cores, 10, 1)
        assert len(pieces) == 10
        assert {thread for *_, thread in pieces} == {threading.current_thread()}
    finally:
        goes_on.set()
        other.join()


@pytest.mark.parametrize("who", ["helper", "starter"])
def test_what_goes_wrong_is_told(who):
    starter = threading.current_thread()

    def work(first, last):
        if (threading.current_thread() is starter) == (who == "starter"):
            raise ValueError(who)
        time.sleep(0.005)

    cores = IntraQueryParallelism(2)
    with pytest.raises(ValueError, match=who), cores.searching():
        cores.share(work, 100, 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_helpers_of_a_pinned_search_may_go_anywhere():
    everywhere = os.sched_getaffinity(0)
    cores, seen = IntraQueryParallelism(2), []

    def work(first, last):
        seen.append(os.sched_getaffinity(0))
        time.sleep(0.005)

    def search():
        os.sched_setaffinity(0, {min(everywhere)})
        with cores.searching():
            cores.share(work, 100, 1)

    pinned = threading.Thread(target=search)
    pinned.start()
    pinned.join()

    assert {min(everywhere)} in seen
    assert everywhere in seen


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_helpers_whose_cores_were_taken_away_help_from_others(monkeypatch):
    def refuse(process, cores):
        raise OSError(22, "Invalid argument")

    cores = IntraQueryParallelism(2)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)

    assert len({thread for *_, thread in spread(cores, 300, 1)}) == 2


def test_results_do_not_depend_on_who_helps():
    """Pieces of one row and of one block, and four searches at once."""
    for number in range(60):
        rng = np.random.default_rng([22, number])
        database = random_database(rng)
        levels = encoded(database, [1.0] * len(database), len(database[0]))
        alone = CascadeSearch(database, levels, CascadeSettings(few_rows=0, few_eligible=0))
        settings = CascadeSettings(few_rows=0, few_eligible=0, piece_blocks=1, piece_rows=1)
        helped = CascadeSearch(database, levels, settings, IntraQueryParallelism(4))
        query = random_query(rng, database)
        alphas = rng.choice(ALPHAS, len(database)).tolist()
        allowed = random_rows(rng, len(database[0])) if number % 2 else None
        expected = alone.rank_all(query, alphas, 5, allowed=allowed)
        found = [None] * 4

        def search(index, helped=helped, query=query, alphas=alphas, allowed=allowed, found=found):
            found[index] = helped.rank_all(query, alphas, 5, allowed=allowed)

        threads = [threading.Thread(target=search, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for ranking in found:
            assert ranking.rows.tolist() == expected.rows.tolist()
            assert ranking.similarities.tolist() == expected.similarities.tolist()
