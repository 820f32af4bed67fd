"""Changes on real disks, full ones and read-only ones, and with a clock that jumps."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from retrieval_server.errors import ChangeLogError
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.v1 import retrieval_pb2_grpc as pb_grpc
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import ServedBy
from tests.support.tiny_world import DIMENSIONS

SMALL_DISK = """
size=$(( $(du -sk "$1" | cut -f1) + 600 ))
mount -t tmpfs -o size=${size}k tmpfs "$2"
cp -a "$1"/. "$2"
shift 2
exec "$@"
"""
READ_ONLY_DISK = """
mount --bind "$1" "$2"
mount -o remount,bind,ro "$2"
shift 2
exec "$@"
"""
A_DAY_S = 86_400
IN_NAMESPACES = ["unshare", "--mount", "--map-root-user"]


@pytest.fixture(scope="module")
def namespaces() -> None:
    try:
        done = subprocess.run([*IN_NAMESPACES, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if done.returncode:
        pytest.skip("needs the right to mount in a namespace of its own")


@pytest.fixture
def on_disk(
    namespaces: None, tiny_index: Path, tiny_repository: Path, tmp_path: Path
) -> Callable[[str], Iterator[pb_grpc.RetrievalServiceStub]]:
    """Serve a writable index on a disk that a script mounts, in a process of its own."""

    @contextmanager
    def serving(script: str) -> Iterator[pb_grpc.RetrievalServiceStub]:
        disk, address = tmp_path / "disk", tmp_path / "address"
        disk.mkdir()
        server = [sys.executable, "-m", "retrieval_server", "--index", disk, "--writable"]
        server += ["--model-repository", tiny_repository, "--port=0", "--address-file", address]
        words = [*IN_NAMESPACES, "sh", "-ec", script, "sh", tiny_index, disk, *server]
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen(list(map(str, words)), stderr=log) as process,
        ):
            try:
                eventually(lambda: address.is_file() or process.poll() is not None)
                assert process.poll() is None, (tmp_path / "log").read_text()
                with grpc.insecure_channel(address.read_text().strip()) as channel:
                    yield pb_grpc.RetrievalServiceStub(channel)
            finally:
                process.terminate()

    return serving


def upsert(stub: pb_grpc.RetrievalServiceStub, product_id: str) -> pb.UpsertResponse:
    """Upsert a product with a long description."""
    vectors = {model: np.eye(length, dtype=np.float32)[0] for model, length in DIMENSIONS.items()}
    by_model = {model: pb.Descriptor(values=vector) for model, vector in vectors.items()}
    request = pb.UpsertRequest(
        product_id=product_id,
        descriptors=pb.Descriptors(by_model=by_model),
        description="jar " * 20_000,
    )
    (answer,) = stub.Upsert(iter([request]), timeout=PATIENCE_S)
    return answer


def search(stub: pb_grpc.RetrievalServiceStub, product_id: str) -> pb.SearchResponse:
    return stub.Search(pb.SearchRequest(product_id=product_id), timeout=PATIENCE_S)


def test_a_full_disk_refuses_a_change_and_keeps_the_others_and_the_searches(
    on_disk: Callable[..., object],
) -> None:
    with on_disk(SMALL_DISK) as stub:
        answers = [upsert(stub, f"n{number}") for number in range(12)]
        codes = [answer.code for answer in answers]
        taken = codes.index(grpc.StatusCode.UNAVAILABLE.value[0])
        assert taken > 0
        assert set(codes[:taken]) == {0}
        assert "No space left on device. Nothing was changed" in answers[taken].message
        found = search(stub, f"n{taken - 1}")
        assert (found.change_position, len(found.results)) == (taken, 7)
        request = pb.GetProductsRequest(product_ids=[f"n{number}" for number in range(12)])
        there = stub.GetProducts(request, timeout=PATIENCE_S)
        assert [each.product_id for each in there.products] == [f"n{n}" for n in range(taken)]


def test_a_volume_that_cannot_be_written_refuses_changes_and_is_searched(
    on_disk: Callable[..., object],
) -> None:
    with on_disk(READ_ONLY_DISK) as stub:
        answer = upsert(stub, "new")
        assert answer.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert "Read-only file system" in answer.message
        found = search(stub, "p0000")
        assert (found.change_position, len(found.results)) == (0, 7)


@pytest.mark.parametrize("jump_s", [10_000 * A_DAY_S, -A_DAY_S])
def test_a_clock_that_jumps_between_two_changes_changes_nothing(
    jump_s: int, served_by: ServedBy, tiny_index_copy: Path
) -> None:
    """Every file is of another time than the machine now has."""
    with served_by(index=tiny_index_copy, writable=True) as writer:
        assert upsert(writer.stub, "a").change_position == 1
    for path in tiny_index_copy.rglob("*"):
        os.utime(path, (time.time() + jump_s,) * 2)
    with (
        served_by(index=tiny_index_copy, writable=True) as writer,
        served_by(index=tiny_index_copy) as follower,
    ):
        assert upsert(writer.stub, "b").change_position == 2
        for server in (writer, follower):
            eventually(
                lambda server=server: server.search(product_id="p0000").change_position == 2,
            )
            status = server.stub.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE_S)
            assert status.changes.lag_s == 0
            assert status.activity.index_age_s >= 0


def test_a_log_of_a_newer_format_is_not_written_and_a_server_does_not_start_with_it(
    served_by: ServedBy, tiny_index_copy: Path
) -> None:
    settings = {"index": tiny_index_copy, "writable": True}
    with served_by(**settings) as first, served_by(**settings) as second:
        assert upsert(first.stub, "a").change_position == 1
        eventually(lambda: second.search(product_id="p0000").change_position == 1)
        first.stop(0)
        (segment,) = (tiny_index_copy / "changes").glob("*/*.log")
        content = bytearray(segment.read_bytes())
        content[8] += 1  # the format, see the room changes
        segment.write_bytes(content)
        refused = upsert(second.stub, "b")
        assert refused.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert "has format 2, this program reads 1" in refused.message
        assert second.search(product_id="a").results
    with pytest.raises(ChangeLogError, match="has format 2"):
        served_by(**settings).__enter__()
