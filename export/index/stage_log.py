"""The log of the finished stages of a build, from which the next run resumes after a kill.

The log is a file of JSON lines beside the files that it names. The files need not be on the disk
when their line is written: the system keeps them in memory after a kill, but may lose them in a
power failure. So a run ignores a log that was written before the last start of the machine, or on
another machine.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from retrieval_server.index.manifest import FORMAT_VERSION
from retrieval_server.version import VERSION

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StageLog:
    """The log of one build; safe to write to from several threads.

    Args:
        path: the file; its folder must exist. Entries that belong to another source, to another
            version of the program or to an earlier start of the machine are dropped.
        source: digest of all that the build depends on.
        boot_id: id of this start of the machine, empty if there is none; None asks the system.
    """

    def __init__(self, path: Path, source: str, boot_id: str | None = None) -> None:
        self._path = path
        self._head = {
            "source": source,
            "program": f"{VERSION} {FORMAT_VERSION}",
            "boot": _boot_id() if boot_id is None else boot_id,
        }
        self._lock = threading.Lock()
        head, *entries = _read(path) or [{}]
        self._entries = entries if head == self._head and self._head["boot"] else []
        self._rewrite()

    def find(self, stage: str) -> list[dict[str, Any]]:
        """The entries of a stage, in the order in which they were added."""
        return [entry["values"] for entry in self._entries if entry["stage"] == stage]

    @property
    def files(self) -> set[str]:
        """The names of all files that the entries list in their value ``files``."""
        return {name for entry in self._entries for name in entry["values"].get("files", ())}

    def add(self, stage: str, **values: object) -> None:
        """Add an entry for a finished stage, or a part of one; its files must be written."""
        entry = {"stage": stage, "values": values}
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._entries.append(entry)
            file.write(json.dumps(entry) + "\n")

    def clear(self) -> None:
        """Drop every entry."""
        self._entries = []
        self._rewrite()

    def _rewrite(self) -> None:
        """Write the file again, without a last line that a kill has cut off."""
        scratch = self._path.with_suffix(".partial")
        lines = [json.dumps(entry) + "\n" for entry in (self._head, *self._entries)]
        scratch.write_text("".join(lines), encoding="utf-8")
        scratch.replace(self._path)


def file_names(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def _boot_id() -> str:
    """An id that changes with every start of the machine; empty if the system gives none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:  # a kill has cut off this line
            break
    return entries
