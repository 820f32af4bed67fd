"""What a build has finished, so that the same command goes on from there after a kill.

Lines of JSON beside the files they speak of. These need not be on the disk when their line is
written: a kill loses nothing of what the system keeps in memory, a power failure may. So a log from
before the machine's last start, or of another machine, is not believed.
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
        path: its file, in a folder that is there. Entries of another source, program or start of
            the machine are dropped.
        source: digest of all that the build depends on.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._head = {
            "source": source,
            "program": f"{VERSION} {FORMAT_VERSION}",
            "boot": _boot_id(),
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
        """The names of all files that entries speak of, in their value ``files``."""
        return {name for entry in self._entries for name in entry["values"].get("files", ())}

    def add(self, stage: str, **values: object) -> None:
        """Note that something is finished; the files of it are written."""
        entry = {"stage": stage, "values": values}
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            self._entries.append(entry)
            file.write(json.dumps(entry) + "\n")

    def clear(self) -> None:
        """Forget everything."""
        self._entries = []
        self._rewrite()

    def _rewrite(self) -> None:
        """Write the entries again, without a last line that was cut off."""
        scratch = self._path.with_suffix(".partial")
        lines = [json.dumps(entry) + "\n" for entry in (self._head, *self._entries)]
        scratch.write_text("".join(lines), encoding="utf-8")
        scratch.replace(self._path)


def file_names(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def _boot_id() -> str:
    """What changes with every start of the machine; empty where that cannot be told."""
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
        except ValueError:  # the kill came in the middle of it
            break
    return entries
