"""The lock of a version: whoever opens a version shares it, whoever removes one has it alone.

The lock is the system's own (``flock``) on the manifest. It needs no right to write, and it ends
with the process, even by a kill. A volume that several machines mount has to share locks between
them, as NFS 4 and CephFS do. Where a file system has no locks at all, a version is opened without
one and never removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.storage.arrays import REBUILD


def share_version(folder: Path) -> int:
    """Keep a version from being removed until the returned file descriptor is closed.

    Args:
        folder: the version's folder.

    Raises:
        IndexBundleError: if there is no manifest, or the version is being removed.
    """
    path = folder / MANIFEST_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IndexBundleError(f"Cannot read {path}: {error}. {REBUILD}") from error
    if _is_locked(descriptor, fcntl.LOCK_SH) is False or not _is_at(path, descriptor):
        os.close(descriptor)
        raise IndexBundleError(
            f"The version {folder} is being removed, because newer ones were built "
            "(--keep-versions). Open the index folder, to have the version that is current."
        )
    return descriptor


@contextlib.contextmanager
def version_to_oneself(folder: Path) -> Iterator[bool]:
    """Have a version alone in the block, if no process of any machine has it open.

    Args:
        folder: the version's folder.

    Yields:
        Whether nobody else has it open; False also if the lock cannot be had for another reason.
    """
    try:
        # NFS gives a lock against all others only to who may write.
        descriptor = os.open(folder / MANIFEST_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _is_locked(descriptor, fcntl.LOCK_EX) is True
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, kind: int) -> bool | None:
    """Lock an open file; False if another process has the lock, None if there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still has this path: its folder may have been renamed since."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
