"""Whatever a file holds, reading it gives a catalogue or one line that says why not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.dataset.catalogue import read_catalogue
from export.ground_truth.true_matches import true_matches
from retrieval_server.errors import CatalogueError
from tests.support.export.catalogue_files import CHALLENGE, CSV, JSONL, MATCHES, parquet


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file in which some bytes were removed and others put in."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 20)))
        content = content[:start] + draw(st.binary(max_size=8)) + content[stop:]
    return content


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def is_one_line_about(path: Path, refusal: str) -> bool:
    return not refusal or (str(path) in refusal and refusal.isprintable())


quickly = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize(
    ("name", "content"),
    [("any.csv", CSV), ("any.jsonl", JSONL), ("any.parquet", parquet())],
    ids=["csv", "jsonl", "parquet"],
)
@quickly
@given(data=st.data())
def test_any_bytes_give_a_catalogue_or_one_line(
    tmp_path: Path, name: str, content: bytes, data: st.DataObject
) -> None:
    path = write(tmp_path, name, data.draw(damaged(content) | st.binary(max_size=64)))
    refusal, rows = "", ()
    try:
        rows = read_catalogue(path).rows
    except CatalogueError as error:
        refusal = str(error)
    assert bool(rows) != bool(refusal)
    assert all(row.product_id and row.image for row in rows)
    assert is_one_line_about(path, refusal)


@pytest.mark.parametrize("content", [MATCHES, CHALLENGE], ids=["ours", "challenge"])
@quickly
@given(data=st.data())
def test_any_bytes_give_a_ground_truth_or_one_line(
    tmp_path: Path, content: bytes, data: st.DataObject
) -> None:
    path = write(tmp_path, "any.csv", data.draw(damaged(content) | st.binary(max_size=64)))
    refusal = ""
    try:
        list(true_matches(path))
    except CatalogueError as error:
        refusal = str(error)
    assert is_one_line_about(path, refusal)
