"""The lock of ``current``: of who changes the file, and of the writer while it writes a change.

So no change is told to be durable that belongs to a version that is current no more. The lock is
held for moments, and ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = ".current.lock"


@contextlib.contextmanager
def current_lock(root: Path) -> Iterator[None]:
    """Have the lock in the block; waits for it.

    Args:
        root: the index folder.

    Raises:
        OSError: if the folder cannot be written, or has no locks.
    """
    path = root / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:  # another user has made the file; that is enough but on NFS
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
