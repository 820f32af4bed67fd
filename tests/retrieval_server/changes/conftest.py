"""What the tests of changes share: the end of the processes that they crash."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def closed_files(tmp_path: Path) -> Iterator[None]:
    """Close the segments of writers that have crashed, as a system does when a process ends."""
    yield
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing itself has one, which is closed by now
            opened = Path(str(descriptor.readlink()).removesuffix(" (deleted)"))
            if opened.suffix == ".log" and opened.is_relative_to(tmp_path):
                os.close(int(descriptor.name))
