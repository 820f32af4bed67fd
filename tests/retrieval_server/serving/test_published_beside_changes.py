"""A version that is published while a server takes changes: no change is answered and then lost."""

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from export.cli import app
from retrieval_server.errors import IndexLossError
from retrieval_server.index import publish as publish_module
from retrieval_server.index.changes_folder import has_changes
from retrieval_server.index.publish import current_version, make_current, publish
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.patience import PATIENCE_S
from tests.support.served import Served, ServedBy

LONG_ENOUGH_S = 0.3  # for a change that nothing holds back


@pytest.fixture
def other(tiny_index_copy: Path, smaller_index: Path) -> str:
    """A version of the index that is not current."""
    name = current_version(smaller_index)
    (tiny_index_copy / name).symlink_to(smaller_index / name)
    return name


def delete(served: Served, product_id: str) -> pb.DeleteResponse | grpc.RpcError:
    try:
        return served.stub.Delete(pb.DeleteRequest(product_ids=[product_id]), timeout=PATIENCE_S)
    except grpc.RpcError as error:
        return error


def check_refused(answer: pb.DeleteResponse | grpc.RpcError) -> None:
    assert isinstance(answer, grpc.RpcError), "a change to a version that is current no more"
    assert answer.code() == grpc.StatusCode.UNAVAILABLE
    assert "has a new version" in answer.details()


def test_a_change_that_arrives_while_a_build_publishes_is_not_answered_and_then_lost(
    served_by: ServedBy, tiny_index_copy: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives between the look for changes and the switch to the new version."""
    arriving: list[Future[pb.DeleteResponse | grpc.RpcError]] = []
    with (
        served_by(index=tiny_index_copy, writable=True, reload_every_s=0) as writer,
        ThreadPoolExecutor(1) as executor,
    ):

        def change_first(*arguments: object, **settings: object) -> None:
            arriving.append(executor.submit(delete, writer, "p0000"))
            with contextlib.suppress(NotYetError):
                arriving[0].result(LONG_ENOUGH_S)
            make_current(*arguments, **settings)

        monkeypatch.setattr(publish_module, "make_current", change_first)
        old = current_version(tiny_index_copy)
        assert publish(tiny_index_copy, other, 0.9)
        check_refused(arriving[0].result(PATIENCE_S))
    assert not has_changes(tiny_index_copy / old)


def test_a_change_that_is_answered_first_keeps_a_build_from_publishing(
    served_by: ServedBy, tiny_index_copy: Path, other: str
) -> None:
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=0) as writer:
        assert delete(writer, "p0000").deleted_count == 1
        with pytest.raises(IndexLossError, match="have taken changes"):
            publish(tiny_index_copy, other, 0.9)
        assert delete(writer, "p0001").deleted_count == 1


def test_no_change_is_written_to_a_version_that_a_person_has_replaced(
    served_by: ServedBy, tiny_index_copy: Path, other: str
) -> None:
    """The server has not loaded the new version yet."""
    with served_by(index=tiny_index_copy, writable=True, reload_every_s=0) as writer:
        assert delete(writer, "p0000").deleted_count == 1
        done = CliRunner().invoke(app, ["publish", str(tiny_index_copy), other])
        assert done.exit_code == 0, done.stderr
        check_refused(delete(writer, "p0001"))
