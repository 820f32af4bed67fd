"""The calls to the system by which a file becomes durable; tests let them fail one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from retrieval_server.storage.arrays import sync


class Files:
    """Writes files. Every method raises OSError."""

    def replace(self, path: Path, scratch: Path, content: Iterable[bytes]) -> None:
        """Write a file, which is there in one step and then on the disk.

        Args:
            path: the file; one that is there is replaced.
            scratch: the name it has until it is whole, in the same folder.
            content: in pieces.
        """
        descriptor = self.create(scratch)
        try:
            for piece in content:
                self.write(descriptor, piece)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        self.rename(scratch, path)
        self.sync_folder(path.parent)

    def make_folder(self, path: Path) -> None:
        """Make a folder, unless it is there, and sync the folder that it is in."""
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            self.sync_folder(path.parent)

    def create(self, path: Path) -> int:
        """Create a file, or empty it, and open it for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def open(self, path: Path) -> int:
        """Open a file, to write at its end."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, descriptor: int, content: bytes) -> None:
        """Write all of some bytes."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """Wait until the content of a file is on the disk."""
        os.fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name; a file that has it is replaced."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Wait until the list of files of a folder is on the disk."""
        sync(path)

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)


SYSTEM_FILES = Files()
