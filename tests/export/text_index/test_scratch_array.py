"""Arrays in nameless files."""

from pathlib import Path

import numpy as np
import pytest

from export.text_index import scratch_array as module
from export.text_index.scratch_array import release_if_large, scratch_array


def test_what_was_written_stays_when_its_memory_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE_BYTES", 0)
    with scratch_array(tmp_path, 100_000, np.int32) as array:
        assert not array.any()
        array[:] = np.arange(len(array))
        release_if_large(array)
        np.testing.assert_array_equal(array, np.arange(100_000))
        assert list(tmp_path.iterdir()) == []


def test_array_of_nothing_needs_no_file(tmp_path: Path) -> None:
    with scratch_array(tmp_path, 0, np.uint16) as array:
        assert (len(array), array.dtype) == (0, np.uint16)
        release_if_large(array)


def test_full_disk_is_an_error_and_not_a_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"), scratch_array(tmp_path, 10, np.int32):
        pass
