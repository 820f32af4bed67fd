"""The log of changes in a store has what was told to be durable, however its writers take turns."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval_server.changes.log_reader import LogRewrittenError
from retrieval_server.changes.segment import frame_bytes
from retrieval_server.errors import ChangeWriteError, StoreError
from retrieval_server.stores.layout import frame_key
from retrieval_server.stores.milvus import STRONG, Milvus
from retrieval_server.stores.store_log import StoreLog
from retrieval_server.stores.store_log_reader import StoreLogReader
from retrieval_server.stores.store_log_writer import StoreLogWriter
from tests.support.lite_store import lite_address
from tests.support.patience import PATIENCE_S
from tests.support.scheduled_store import DOCUMENTS, ScheduledStore

SCHEDULES = 100


def everything(store: ScheduledStore) -> list[bytes]:
    """All changes of a log."""
    return StoreLogReader(StoreLog(store, "log")).read()


class Clients:
    """Writers and a reader of one log, and what they were told."""

    def __init__(self, store: ScheduledStore, seed: int) -> None:
        self.store, self.seed = store, seed
        self.durable: dict[int, bytes] = {}  # by position

    def writer(self, number: int, rounds: int = 6) -> Callable[[], None]:
        """Writes groups; it is started anew now and then, as after a crash."""
        rng = np.random.default_rng([self.seed, number])

        def run() -> None:
            writer = self._opened()
            for round_ in range(rounds):
                names = [f"{number}-{round_}-{each}" for each in range(rng.integers(1, 4))]
                changes = [name.encode() for name in names]
                try:
                    last = writer.append(changes)
                except ChangeWriteError:
                    pass
                else:
                    for position, change in enumerate(changes, last + 1 - len(changes)):
                        assert self.durable.setdefault(position, change) == change
                if rng.random() < 0.3:
                    writer = self._opened()

        return run

    def reader(self) -> None:
        """Follows the log; at each moment it has what was durable before."""
        reader, seen = StoreLogReader(StoreLog(self.store, "log")), list[bytes]()
        for _ in range(8):
            before = dict(self.durable)
            try:
                seen += reader.read()
            except LogRewrittenError:
                reader = StoreLogReader(StoreLog(self.store, "log"))
                seen = reader.read()
            assert reader.position == len(seen)
            for position, change in before.items():
                assert seen[position - 1] == change

    def _opened(self) -> StoreLogWriter:
        return StoreLogWriter(StoreLog(self.store, "log"), self.store, DOCUMENTS)


def test_nothing_that_was_told_to_be_durable_is_lost_or_replaced() -> None:
    told = written = 0
    for seed in range(SCHEDULES):
        store = ScheduledStore(np.random.default_rng(seed), failing=0.1 if seed % 2 else 0.0)
        clients = Clients(store, seed)
        errors: list[BaseException] = []

        def caught(client: Callable[[], None], errors: list[BaseException] = errors) -> None:
            try:
                client()
            except BaseException as error:
                errors.append(error)

        work = [*map(clients.writer, range(3)), clients.reader]
        store.run([lambda each=each: caught(each) for each in work])
        assert errors == [], seed
        log = everything(store)
        assert all(log[position - 1] == change for position, change in clients.durable.items())
        assert len(log) == len(set(log)), seed
        told, written = told + len(clients.durable), written + len(log)
    assert written >= told > SCHEDULES


@pytest.fixture
def store() -> ScheduledStore:
    return ScheduledStore(np.random.default_rng(0), failing=0)


def opened(store: ScheduledStore) -> StoreLogWriter:
    return StoreLogWriter(StoreLog(store, "log"), store, DOCUMENTS)


def test_the_writer_before_refuses_one_change_and_goes_on_with_the_next(
    store: ScheduledStore,
) -> None:
    first, second = opened(store), opened(store)
    assert (first.append([b"a"]), second.append([b"b", b"c"])) == (1, 3)
    with pytest.raises(ChangeWriteError, match=r"another server \(.*, process \d+\) writes"):
        first.append([b"d"])
    assert first.append([b"d"]) == 4
    assert everything(store) == [b"a", b"b", b"c", b"d"]


def test_a_frame_that_comes_late_cannot_take_the_place_of_what_another_writer_has_taken_up(
    store: ScheduledStore,
) -> None:
    log = StoreLog(store, "log")
    first, second, third = (opened(store) for _ in range(3))
    first.append([b"a"])
    end = first._tail.end
    before, between = str(first._ballot), second._taken_over()
    log.write(2, before, frame_bytes([b"late"], end)[0])  # third sees it, second has not
    assert third.append([b"b"]) == 3
    log.write(2, between, frame_bytes([b"later"], end)[0])
    assert everything(store) == [b"a", b"late", b"b"]


def test_a_missing_frame_is_damage(store: ScheduledStore) -> None:
    writer = opened(store)
    for change in (b"a", b"b", b"c"):
        writer.append([change])
    keys = [key for key in store.entities_by_key if key.startswith(frame_key(2, ""))]
    for key in keys:
        del store.entities_by_key[key]
    with pytest.raises(StoreError, match="nothing whole follows change 1, and there are later"):
        everything(store)


def test_a_killed_process_leaves_what_it_has_said_in_a_file_of_milvus_lite(tmp_path: Path) -> None:
    address = lite_address(tmp_path)
    if not address.is_lite:
        pytest.skip("the file of a Milvus Lite ends with the process that writes it")
    command = [sys.executable, "-m", "tests.support.programs.append_to_store", str(address)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(10)]
        process.kill()
        said += map(int, process.stdout.read().split())
    milvus = Milvus(address, PATIENCE_S, STRONG)
    milvus.load("log")
    log = StoreLogReader(StoreLog(milvus, "log")).read()
    milvus.close()
    assert said == list(range(2, 2 * len(said) + 1, 2))
    assert log[: said[-1] : 2] == [b"%d" % number for number in range(len(said))]
