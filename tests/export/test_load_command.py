"""The command ``beauty-export load``: what it says, and how it ends."""

import sys
from pathlib import Path

import pytest

from retrieval_server.command_line.outcome import BAD_INPUT
from retrieval_server.index.publish import open_index
from tests.support.export.beauty_export import Run, check_failed
from tests.support.lite_store import lite_address


def test_a_load_says_what_is_published_and_a_second_one_finds_it_there(
    run: Run, tiny_index: Path, tmp_path: Path
) -> None:
    store = lite_address(tmp_path).text
    version = open_index(tiny_index).version

    first = run("load", tiny_index, "--store", store)
    second = run("load", tiny_index, "--store", store)

    assert (first.exit_code, first.stdout) == (0, "")
    assert f"{store}: 40 products of {version}, all written now; published" in first.stderr
    assert f"{store}: 40 products of {version}, all were there; published" in second.stderr


def test_a_smaller_version_is_bad_input_until_it_is_allowed(
    run: Run, tiny_index: Path, smaller_index: Path, tmp_path: Path
) -> None:
    store = lite_address(tmp_path).text
    run("load", tiny_index, "--store", store)
    old, new = (open_index(index).version for index in (tiny_index, smaller_index))

    refused = run("load", smaller_index, "--store", store)
    allowed = run("load", smaller_index, "--store", store, "--max-loss", "0.5")

    assert refused.exit_code == BAD_INPUT
    check_failed(refused, new, "20 fewer than", old, "--max-loss")
    assert f"published in place of {old}" in allowed.stderr
    assert f"of {old} are no longer needed" in allowed.stderr


def test_a_store_that_cannot_be_used_is_one_line(
    run: Run, tiny_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = f"milvus-lite:{tmp_path / 'no'}/store.db/products"
    store = lite_address(tmp_path).text
    check_failed(run("load", tiny_index, "--store", missing), str(tmp_path / "no"))
    check_failed(run("load", tmp_path, "--store", missing), "There is no index at")
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    check_failed(
        run("load", tiny_index, "--store", store), "A store needs pymilvus", "'.[milvus-lite]'"
    )
