"""A rebuilt index takes the place of the one served: verified, and without a lost request."""

import csv
import gc
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import numpy as np
import onnx
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index.build import IndexBuild
from retrieval_server.errors import IndexLossError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import finished_versions, make_current, open_index
from retrieval_server.index.retention import remove_old_versions
from retrieval_server.models.profile import Profile
from retrieval_server.serving.served import index_watch
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S, eventually
from tests.support.scraped_metrics import value
from tests.support.served import Served, ServedBy
from tests.support.unreadable_current import UNREADABLE

Rebuild = Callable[..., str]
OFTEN_S = 0.01


@pytest.fixture
def catalogue(tiny_catalogue: Path, tmp_path: Path) -> Path:
    """A catalogue to change."""
    return shutil.copytree(tiny_catalogue, tmp_path / "catalogue")


@pytest.fixture
def rebuild(
    catalogue: Path, tiny_profile: Profile, tiny_repository: Path, tiny_index_copy: Path
) -> Rebuild:
    """Add a product to the catalogue and build the index again; its version."""

    def run(repository: Path = tiny_repository) -> str:
        with (catalogue / "catalog.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(("new", "images/p0000.png", "a new one", "", ""))
        build = IndexBuild(
            read_catalogue(catalogue), tiny_profile, EngineChoice(repository), tiny_index_copy
        )
        return build.run().folder.name

    return run


def status(served: Served) -> pb.GetStatusResponse:
    return served.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)


def until_serving(served: Served, version: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while status(served).index_version != version:
        assert time.monotonic() < deadline


def counted(served: Served, outcome: str) -> float:
    return value(served, "beauty_index_reloads_total", outcome=outcome) or 0


def until_refused(served: Served, times: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while counted(served, "refused") < times:
        assert time.monotonic() < deadline
        time.sleep(OFTEN_S)


@contextmanager
def searching(served: Served) -> Iterator[list[pb.SearchResponse]]:
    """Search without a pause; what was answered, at the end."""
    answers: list[pb.SearchResponse] = []
    enough = threading.Event()

    def search() -> None:
        while not enough.is_set():
            answers.append(served.search(product_id="p0000", top_k=40))

    with ThreadPoolExecutor(1) as executor:
        work = executor.submit(search)
        try:
            yield answers
        finally:
            enough.set()
            work.result(PATIENCE_S)


def test_a_rebuilt_index_is_served_and_no_request_fails_or_mixes_the_two(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=OFTEN_S, metrics_port=0) as served:
        old = status(served).index_version
        with searching(served) as answers:
            new = rebuild()
            until_serving(served, new)
            seen = len(answers)
            while len(answers) < seen + 5:
                time.sleep(OFTEN_S)
        assert {answer.index_version for answer in answers} == {old, new}
        for answer in answers:
            ids = {match.product_id for match in answer.results}
            assert ("new" in ids) == (answer.index_version == new)
            assert len(ids) == (40 if answer.index_version == new else 39)
        assert status(served).product_count == 41
        assert (counted(served, "served"), counted(served, "refused")) == (1, 0)


def test_a_replaced_index_is_released_without_a_garbage_collection(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild
) -> None:
    """The server takes what it begins with out of all collections."""
    with served_by(index=tiny_index_copy, reload_every_s=OFTEN_S) as served:
        served.search(product_id="p0000", words="red")
        old = weakref.ref(served.running.index_watch._served.retriever.bundle)
        new = rebuild()
        gc.disable()
        try:
            until_serving(served, new)
            eventually(lambda: old() is None)
        finally:
            gc.enable()


def test_a_search_in_progress_ends_with_the_index_it_began_with(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild, catalogue: Path
) -> None:
    photo = (catalogue / "images" / "p0000.png").read_bytes()
    with (
        served_by(index=tiny_index_copy, reload_every_s=OFTEN_S, metrics_port=0) as served,
        ThreadPoolExecutor(1) as executor,
    ):
        old = status(served).index_version
        new = rebuild()
        until_serving(served, new)
        served.hold()
        call = executor.submit(served.search, image=photo)
        assert served.engine.arrived.acquire(timeout=PATIENCE_S)
        make_current(tiny_index_copy, old)
        gate, served.engine.gate = (
            served.engine.gate,
            None,
        )  # the reference image passes, the search waits
        until_serving(served, old)
        served.engine.gate = gate
        served.release()
        answer = call.result(PATIENCE_S)
        assert answer.index_version == new
        assert "new" in {match.product_id for match in answer.results}


def test_a_damaged_version_is_refused_once_and_served_when_it_is_mended(
    served_by: ServedBy,
    tiny_index_copy: Path,
    rebuild: Rebuild,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = open_index(tiny_index_copy).version
    new = rebuild()
    make_current(tiny_index_copy, old)
    damaged = tiny_index_copy / new / "descriptors.tiny_a.npy"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    verified: list[str] = []
    verify = IndexBundle.verify

    def counting(bundle: IndexBundle) -> None:
        verified.append(bundle.version)
        verify(bundle)

    monkeypatch.setattr(IndexBundle, "verify", counting)
    with (
        caplog.at_level(logging.ERROR),
        served_by(index=tiny_index_copy, reload_every_s=0, metrics_port=0) as served,
    ):
        make_current(tiny_index_copy, new)
        poll(served)
        assert counted(served, "refused") == 1
        assert f"{new} is not served, {old} still is" in caplog.text
        assert str(damaged) in caplog.text
        assert verified == [new]
        assert status(served).index_version == old
        damaged.write_bytes(whole)
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + index_watch.RETRY_S)
        monkeypatch.setattr(index_watch, "time", later)
        poll(served)
        assert status(served).index_version == new


def test_a_version_of_other_models_is_refused(
    served_by: ServedBy,
    tiny_index_copy: Path,
    tiny_repository: Path,
    rebuild: Rebuild,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = shutil.copytree(tiny_repository, tmp_path / "repository")
    model = onnx.load(other / "tiny_b" / "1" / "model.onnx")
    onnx.helper.set_model_props(model, {"weights": "others"})
    onnx.save(model, other / "tiny_b" / "1" / "model.onnx")
    with (
        caplog.at_level(logging.ERROR),
        served_by(index=tiny_index_copy, reload_every_s=OFTEN_S, metrics_port=0) as served,
    ):
        old = status(served).index_version
        rebuild(other)
        until_refused(served)
        assert "model tiny_b of digest" in caplog.text
        assert status(served).index_version == old


def test_a_version_whose_reference_image_the_engine_does_not_compute_is_refused(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        served_by(index=tiny_index_copy, reload_every_s=OFTEN_S, metrics_port=0) as served,
    ):
        old = status(served).index_version
        real = served.engine.engine.infer

        async def otherwise(*arguments: object) -> dict[str, np.ndarray]:
            rows = await real(*arguments)
            return {model: np.roll(row, 1, axis=1) for model, row in rows.items()}

        served.engine.engine.infer = otherwise
        rebuild()
        until_refused(served)
        assert "reference image" in caplog.text
        assert status(served).index_version == old


def test_a_version_that_is_not_there_is_refused_and_the_server_goes_on(
    served_by: ServedBy, tiny_index_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        served_by(index=tiny_index_copy, reload_every_s=OFTEN_S, metrics_port=0) as served,
    ):
        make_current(tiny_index_copy, "tiny-000000000000")
        until_refused(served)
        assert "tiny-000000000000 is not served" in caplog.text
        assert len(served.search(product_id="p0000").results) == 7


def test_a_version_named_by_its_own_folder_is_held_on_to(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild
) -> None:
    old = open_index(tiny_index_copy)
    with served_by(index=old.folder, reload_every_s=OFTEN_S, metrics_port=0) as served:
        rebuild()
        served.result(served.running.index_watch.poll())
        assert status(served).index_version == old.version


def test_a_version_that_is_served_is_not_removed_and_one_that_was_is(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=0) as served:
        old = status(served).index_version
        new = rebuild()
        assert remove_old_versions(tiny_index_copy, 1).in_use == (old,)
        assert len(served.search(product_id="p0000").results) == 7
        poll(served)
        assert status(served).index_version == new
        eventually(lambda: remove_old_versions(tiny_index_copy, 1).removed == (old,))
        assert finished_versions(tiny_index_copy) == [new]
        assert len(served.search(product_id="new").results) == 7


def test_no_look_is_taken_where_it_is_turned_off(
    served_by: ServedBy, tiny_index_copy: Path, rebuild: Rebuild
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=0.0) as served:
        assert not served.running.index_watch.polling.is_running
        assert rebuild() != status(served).index_version
        with pytest.raises(grpc.RpcError):
            served.search(product_id="new")


# A version that has lost too much, and an unreadable `current`


@pytest.fixture
def shrink(
    catalogue: Path, tiny_profile: Profile, tiny_repository: Path, tiny_index_copy: Path
) -> Rebuild:
    """Build an index of the first 31 of the 40 products; its version."""

    def run(max_loss: float) -> str:
        file = catalogue / "catalog.csv"
        file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:32]), "utf-8")
        engine = EngineChoice(tiny_repository)
        build = IndexBuild(
            read_catalogue(catalogue), tiny_profile, engine, tiny_index_copy, max_loss=max_loss
        )
        return build.run().folder.name

    return run


def refused(served: Served, cause: str) -> float | None:
    return value(served, "beauty_index_refused", cause=cause)


def poll(served: Served, times: int = 3) -> None:
    for _ in range(times):
        served.result(served.running.index_watch.poll())


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.name == index_watch.__name__]


def test_a_version_that_has_lost_too_much_is_refused_until_a_person_approves_it(
    served_by: ServedBy, tiny_index_copy: Path, shrink: Rebuild, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO),
        served_by(index=tiny_index_copy, reload_every_s=0, metrics_port=0) as served,
    ):
        old = status(served).index_version
        with pytest.raises(IndexLossError):
            shrink(max_loss=0.2)
        (new,) = {version for version in finished_versions(tiny_index_copy) if version != old}
        make_current(tiny_index_copy, new)
        poll(served)
        (line,) = records(caplog)
        assert f"{new} is not served, {old} still is" in line
        assert "9 of 40 products are missing (22.5 %)" in line
        assert f"beauty-export publish {tiny_index_copy} {new}" in line
        assert line in status(served).warnings
        assert (counted(served, "refused"), refused(served, "loss")) == (1, 1)
        make_current(tiny_index_copy, new, is_approved=True)
        poll(served)
        assert status(served).index_version == new
        assert refused(served, "loss") == 0
        assert not set(status(served).warnings) & {line}
        assert len(records(caplog)) == 2


def test_a_loss_that_the_build_was_allowed_needs_no_further_approval(
    served_by: ServedBy, tiny_index_copy: Path, shrink: Rebuild
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=0, max_loss=0.0) as served:
        new = shrink(max_loss=0.25)
        poll(served)
        assert status(served).index_version == new


def test_a_loss_within_the_servers_own_bound_is_served(
    served_by: ServedBy, tiny_index_copy: Path, shrink: Rebuild
) -> None:
    with served_by(index=tiny_index_copy, reload_every_s=0, max_loss=0.225) as served:
        (tiny_index_copy / "current").unlink()  # the build has nothing to compare with
        new = shrink(max_loss=0.0)
        assert not (tiny_index_copy / "approved").exists()
        poll(served)
        assert status(served).index_version == new


@pytest.mark.parametrize("damage", [*UNREADABLE, "no file"])
def test_unreadable_current_is_one_line_when_it_begins_and_one_when_it_ends(
    served_by: ServedBy, tiny_index_copy: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with (
        caplog.at_level(logging.INFO),
        served_by(index=tiny_index_copy, reload_every_s=0, metrics_port=0) as served,
    ):
        current = tiny_index_copy / "current"
        version = status(served).index_version
        current.unlink()
        if damage in UNREADABLE:
            UNREADABLE[damage][0](current)
        poll(served)
        (line,) = records(caplog)
        assert f"{version} still is: " in line or f"{version} is still served: " in line
        assert str(current) in line
        assert refused(served, "current") == 1
        assert len(served.search(product_id="p0000").results) == 7
        if current.is_dir() and not current.is_symlink():
            current.rmdir()
        make_current(tiny_index_copy, version)
        poll(served)
        assert records(caplog)[1:] == [f"{version} is current and served"]
        assert refused(served, "current") == 0
        assert not any(record.exc_info for record in caplog.records)
