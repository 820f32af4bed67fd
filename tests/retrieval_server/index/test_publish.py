"""The files `current` and `approved`: what they may hold, and which version becomes current."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval_server.errors import CurrentFileError, IndexLossError
from retrieval_server.index.publish import (
    approved_version,
    current_version,
    make_current,
    open_index,
    publish,
)
from retrieval_server.storage.string_table import write_string_table
from tests.support.unreadable_current import UNREADABLE


@pytest.mark.parametrize(("damage", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_current_is_refused_in_one_line_that_names_it(
    tiny_index_copy: Path, damage: Callable[[Path], None], reason: str
) -> None:
    current = tiny_index_copy / "current"
    current.unlink()
    damage(current)
    with pytest.raises(CurrentFileError, match=reason) as caught:
        open_index(tiny_index_copy)
    message = str(caught.value)
    assert str(current) in message
    assert "beauty-export publish" in message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize("content", [b"%s", b"%s\r\n", b" %s \n\n", b"\xef\xbb\xbf%s\r\n"])
def test_current_may_have_white_space_and_a_byte_order_mark(
    tiny_index_copy: Path, content: bytes
) -> None:
    version = open_index(tiny_index_copy).version
    (tiny_index_copy / "current").write_bytes(content % version.encode())
    assert current_version(tiny_index_copy) == version


@pytest.fixture
def smaller(tiny_index_copy: Path) -> str:
    """A version with 30 of the 40 products, of which only the tables are smaller."""
    current = open_index(tiny_index_copy)
    folder = shutil.copytree(current.folder, tiny_index_copy / "tiny-000000000000")
    products = [current.product(row) for row in range(30)]
    write_string_table(folder, "ids", [each.product_id for each in products])
    write_string_table(folder, "descriptions", [each.description for each in products])
    return folder.name


def test_version_within_the_bound_becomes_current_and_approved(
    tiny_index_copy: Path, smaller: str
) -> None:
    assert publish(tiny_index_copy, smaller, 0.25)
    assert current_version(tiny_index_copy) == approved_version(tiny_index_copy) == smaller
    assert not publish(tiny_index_copy, smaller, 0.0)


def test_version_beyond_the_bound_changes_nothing(tiny_index_copy: Path, smaller: str) -> None:
    version = open_index(tiny_index_copy).version
    with pytest.raises(IndexLossError, match=r"10 of 40 products are missing \(25 %\)"):
        publish(tiny_index_copy, smaller, 0.2)
    assert current_version(tiny_index_copy) == version
    assert approved_version(tiny_index_copy) is None


@pytest.mark.parametrize("damage", [os.remove, lambda path: path.write_bytes(b"\xff")])
def test_version_without_one_to_compare_with_is_current_but_not_approved(
    tiny_index_copy: Path, smaller: str, damage: Callable[[Path], None]
) -> None:
    damage(tiny_index_copy / "current")
    assert publish(tiny_index_copy, smaller, 0.0)
    assert current_version(tiny_index_copy) == smaller
    assert approved_version(tiny_index_copy) is None


def test_unreadable_approval_approves_nothing(tiny_index_copy: Path) -> None:
    version = open_index(tiny_index_copy).version
    make_current(tiny_index_copy, version, is_approved=True)
    assert approved_version(tiny_index_copy) == version
    (tiny_index_copy / "approved").write_bytes(b"\xff\xfe")
    assert approved_version(tiny_index_copy) is None
