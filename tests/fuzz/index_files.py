"""The reader of an index: a version in which one file, or one value of its JSON, is another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.index import search_levels
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import CALIBRATION_FILE, write_calibration
from retrieval_server.index.manifest import MANIFEST_FILE, write_manifest
from tests.fuzz.target import Prepared, Target
from tests.support.made_up_calibration import made_up_calibration
from tests.support.made_up_index import made_up_index
from tests.support.tiny_world import TINY_PROFILE

ROWS = 120
SCANNED_ROWS = 50  # a database with more of them has levels here
HEAD = 256  # bytes of a file that are changed; numpy writes fewer before an array
VALUES = (b"null", b"-1", b"1e999", b'"x"', b"[]", b"{}", b"true", b"[[1, 2], {}]", b"0.5")
JSON_FILES = (MANIFEST_FILE, CALIBRATION_FILE)


class _Version:
    """A version of an index to damage; every file has a good copy.

    Args:
        folder: for the version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _write(folder / "version")
        self._good = shutil.copytree(self.folder, folder / "good")
        self.names = sorted(path.name for path in self.folder.iterdir())

    def good(self, name: str) -> bytes:
        """The content of a file, as it was written."""
        return (self._good / name).read_bytes()

    def open_with(self, name: str, content: bytes) -> None:
        """Open the version with another content of a file, then compare the checksums.

        The manifest gets the size of the file: only its content is wrong.
        """
        changed = {name: content}
        if name != MANIFEST_FILE:
            manifest = json.loads(self.good(MANIFEST_FILE))
            manifest["files"][name]["bytes"] = len(content)
            changed[MANIFEST_FILE] = json.dumps(manifest).encode()
        for file, other in changed.items():
            self._put(file, other)
        try:
            IndexBundle(self.folder).verify()
        finally:
            for file in changed:
                self._put(file, self.good(file))

    def _put(self, name: str, content: bytes) -> None:
        """Replace a file; an index that is still open keeps the one that it maps."""
        path = self.folder / f"{name}.new"
        path.write_bytes(content)
        path.replace(self.folder / name)


def _write(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    made_up = made_up_index(folder, TINY_PROFILE, rng, ROWS)
    search_levels.SCANNED_ROWS = SCANNED_ROWS
    record = search_levels.build_search_levels(folder, TINY_PROFILE.alphas)
    assert record is not None
    write_calibration(folder, made_up_calibration())
    write_manifest(folder, replace(made_up.manifest, search=record))
    return folder


def _prepare_files(folder: Path) -> Prepared:
    version = _Version(folder)

    def read(data: bytes) -> None:
        name = version.names[data[0] % len(version.names)] if data else MANIFEST_FILE
        version.open_with(name, data[1:] + version.good(name)[HEAD:])

    seeds = (bytes([n]) + version.good(name)[:HEAD] for n, name in enumerate(version.names))
    return Prepared(read, tuple(seeds))


def _prepare_values(folder: Path) -> Prepared:
    version = _Version(folder)

    def read(data: bytes) -> None:
        name = JSON_FILES[data[0] % len(JSON_FILES)] if data else MANIFEST_FILE
        document = json.loads(version.good(name))
        places = _places(document)
        holder, key = places[int.from_bytes(data[1:3]) % len(places)]
        try:
            holder[key] = json.loads(data[3:])
        except (ValueError, RecursionError):
            return  # no value to put there
        version.open_with(name, json.dumps(document).encode())

    seeds = (bytes([n % 2, 0, 7 * n]) + value for n in range(36) for value in VALUES)
    return Prepared(read, tuple(seeds))


def _places(document: Any) -> list[tuple[Any, Any]]:
    """The values of a JSON document, each by what holds it and its key there."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in items:
        found.append((document, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


ERRORS = (IndexBundleError,)
FILES = Target("index files", _prepare_files, ERRORS, longest=HEAD + 1, cost=20)
VALUES_IN_JSON = Target("index values", _prepare_values, ERRORS, longest=64, cost=20)
