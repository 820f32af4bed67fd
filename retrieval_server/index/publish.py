"""Versions of an index: sealed once, published under their own name, opened through `current`."""

from __future__ import annotations

import shutil
from pathlib import Path

from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import DIGEST_LENGTH, IndexBundle
from retrieval_server.index.manifest import MANIFEST_FILE, Manifest, write_manifest
from retrieval_server.storage.arrays import REBUILD, sync
from retrieval_server.storage.digest import file_digest

CURRENT_FILE = "current"


def open_index(path: Path) -> IndexBundle:
    """Open an index: a version's folder, or the folder whose ``current`` names the version.

    Raises:
        IndexBundleError: if there is none, or it is damaged.
    """
    version = current_version(path)
    if version is not None:
        return IndexBundle(path / version)
    if (path / MANIFEST_FILE).is_file():
        return IndexBundle(path)
    raise IndexBundleError(f"There is no index at {path}. Build one with: beauty-export index")


def current_version(path: Path) -> str | None:
    """The version that a folder's ``current`` names; None where there is no such file.

    Raises:
        IndexBundleError: if it cannot be read.
    """
    current = path / CURRENT_FILE
    try:
        return current.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise IndexBundleError(f"Cannot read {current}: {error}. {REBUILD}") from error


def is_intact(folder: Path) -> bool:
    """Tell whether a version can be opened and every file is as it was written; reads them all."""
    try:
        IndexBundle(folder).verify()
    except IndexBundleError:
        return False
    return True


def seal(folder: Path, manifest: Manifest) -> str:
    """Write the manifest over the files in a folder and sync them all to disk.

    Args:
        folder: holds every file of the bundle but the manifest.
        manifest: what the bundle was built from.

    Returns:
        The version: the profile's name and a digest of the manifest.
    """
    write_manifest(folder, manifest)
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    return f"{manifest.profile.name}-{file_digest(folder / MANIFEST_FILE)[:DIGEST_LENGTH]}"


def publish(sealed: Path, root: Path, version: str) -> Path:
    """Move a sealed folder to its version's name and make it the current one.

    Args:
        sealed: what ``seal`` finished; on the same file system as root.
        root: the index folder.
        version: what ``seal`` returned. If it is there already, it stays as it is; but if it is
            damaged, it is put aside, beside ``sealed``.

    Returns:
        The version's folder.
    """
    target = root / version
    if target.exists() and not is_intact(target):
        aside = sealed.with_name(f"{version}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    if not target.exists():
        sealed.rename(target)
    make_current(root, version)
    return target


def make_current(root: Path, version: str) -> None:
    """Make a version the one to serve, at once or not at all."""
    scratch = root / f".{CURRENT_FILE}"
    scratch.write_text(version + "\n", encoding="utf-8")
    sync(scratch)
    scratch.replace(root / CURRENT_FILE)
    sync(root)
