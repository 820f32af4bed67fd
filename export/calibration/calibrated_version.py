"""A version of an index with another calibration; all its other files are those of the old version.

A version never changes, so a calibration makes a new one, which is published like one that was
built. Files are shared with the old version by hard links where the file system has them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from export.index.last_build import read_last_build, write_last_build
from export.index.taken_changes import read_taken, write_taken
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.calibration import CALIBRATION_FILE, Calibration, write_calibration
from retrieval_server.index.loss import DEFAULT_MAX_LOSS
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.publish import publish, seal, store

SCRATCH = ".calibrating"


def publish_calibration(bundle: IndexBundle, calibration: Calibration) -> Path:
    """Publish an index with a calibration. The caller has the index folder's lock.

    A build with equal input afterwards has nothing to do: the new version is its version.

    Args:
        bundle: the current version of the index.
        calibration: what it gets, in place of the one that it may have.

    Returns:
        The folder of the new version, which is current; the old one if it has this calibration.

    Raises:
        IndexBundleError: if a file of the version differs from its checksum.
        OSError: if the index folder cannot be written.
    """
    bundle.verify()
    root, scratch = bundle.folder.parent, bundle.folder.parent / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    folder = scratch / "bundle"
    folder.mkdir(parents=True)
    for path in bundle.folder.iterdir():
        if path.name not in {MANIFEST_FILE, CALIBRATION_FILE}:
            _share(path, folder / path.name)
    write_calibration(folder, calibration)
    version = seal(folder, bundle.manifest)
    stored = store(folder, root, version)
    shutil.rmtree(scratch)
    last = read_last_build(root)
    if last is not None and last.version == bundle.version:
        write_last_build(root, replace(last, version=version))
    write_taken(stored, read_taken(bundle.folder))
    publish(root, version, DEFAULT_MAX_LOSS)
    return stored


def _share(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)
