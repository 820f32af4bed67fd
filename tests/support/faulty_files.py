"""A file layer that fails at one step, and what a disk holds after a loss of power."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from retrieval_server.storage.files import Files


class CrashError(BaseException):
    """The process has ended; nothing may catch it."""


class FaultyFiles(Files):
    """Counts the steps, and fails at one of them.

    A crash leaves half of what is being written. ``lose_power`` then takes away what was not
    synced: content behind the last sync of a file, and names behind the last sync of a folder.
    """

    def __init__(self, fail_at: int | None = None, *, is_crash: bool = True) -> None:
        self.steps, self._fail_at, self._is_crash = 0, fail_at, is_crash
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}
        self._names: list[tuple[Path, Callable[[], object]]] = []  # folder, what takes it back

    def lose_power(self, *, zeros: bool) -> None:
        """Take away what was not synced; with ``zeros``, files keep their lengths."""
        for path in self._paths.values():
            if path.exists() and path.stat().st_size > (synced := self._synced.get(path, 0)):
                size = path.stat().st_size
                os.truncate(path, synced)
                if zeros:
                    os.truncate(path, size)
        for _, take_back in reversed(self._names):
            take_back()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._fail_at:
            if self._is_crash:
                raise CrashError
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            self._step()
            path.mkdir()
            self._names.append((path.parent, path.rmdir))
            self.sync_folder(path.parent)

    def create(self, path: Path) -> int:
        self._step()
        descriptor = super().create(path)
        self._paths[descriptor], self._synced[path] = path, 0
        return descriptor

    def open(self, path: Path) -> int:
        self._step()
        descriptor = super().open(path)
        self._paths[descriptor] = path
        self._synced.setdefault(path, path.stat().st_size)
        return descriptor

    def write(self, descriptor: int, content: bytes) -> None:
        try:
            self._step()
        except BaseException:
            super().write(descriptor, content[: len(content) // 2])
            raise
        super().write(descriptor, content)

    def truncate(self, descriptor: int, length: int) -> None:
        self._step()
        super().truncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        self._step()
        super().sync(descriptor)
        path = self._paths[descriptor]
        self._synced[path] = os.fstat(descriptor).st_size

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        replaced = new.read_bytes() if new.exists() else None
        super().rename(old, new)

        def take_back() -> None:
            new.rename(old)
            if replaced is not None:
                new.write_bytes(replaced)

        self._names.append((new.parent, take_back))
        self._synced[new] = self._synced.pop(old)
        self._paths = {fd: new if path == old else path for fd, path in self._paths.items()}

    def remove(self, path: Path) -> None:
        self._step()
        content = path.read_bytes()
        super().remove(path)
        self._names.append((path.parent, lambda: path.write_bytes(content)))

    def sync_folder(self, path: Path) -> None:
        self._step()
        super().sync_folder(path)
        self._names = [each for each in self._names if each[0] != path]
