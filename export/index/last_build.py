"""The last build of an index folder: what it was made from, and the version that it made.

A build with equal input finds its version here and has nothing to do. The file ``.built.json`` is
written when a version is finished, before it is current.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval_server.storage.json_record import read_json

BUILT_FILE = ".built.json"


@dataclass(frozen=True)
class LastBuild:
    """A finished build.

    Attributes:
        source: digest of all that the version depends on.
        version: name of the version.
    """

    source: str
    version: str


def read_last_build(root: Path) -> LastBuild | None:
    """The last build of an index folder; None if there was none, or its file is damaged."""
    try:
        built = read_json(root / BUILT_FILE)
        return LastBuild(str(built["source"]), str(built["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_last_build(root: Path, build: LastBuild) -> None:
    """Record a build; overwrites."""
    (root / BUILT_FILE).write_text(json.dumps(asdict(build)), encoding="utf-8")
