"""Versions of an index: `seal` one, `publish` it under its name, `open_index` the current one."""

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
    """Open an index.

    Args:
        path: a version's folder, or a folder whose file ``current`` names the version.

    Raises:
        IndexBundleError: if there is no index at the path, or it is damaged.
    """
    version = current_version(path)
    if version is not None:
        return IndexBundle(path / version)
    if (path / MANIFEST_FILE).is_file():
        return IndexBundle(path)
    raise IndexBundleError(f"There is no index at {path}. Build one with: beauty-export index")


def current_version(path: Path) -> str | None:
    """The version that a folder's file ``current`` names; None if there is no such file.

    Raises:
        IndexBundleError: if the file cannot be read.
    """
    current = path / CURRENT_FILE
    try:
        return current.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise IndexBundleError(f"Cannot read {current}: {error}. {REBUILD}") from error


def is_intact(folder: Path) -> bool:
    """Whether a version opens and every file matches its checksum; reads all files."""
    try:
        IndexBundle(folder).verify()
    except IndexBundleError:
        return False
    return True


def seal(folder: Path, manifest: Manifest) -> str:
    """Write a manifest with the checksums of all files in a folder, and sync them to disk.

    Args:
        folder: folder with every file of the bundle except the manifest.
        manifest: models, catalogue and settings that the bundle was built from.

    Returns:
        The name of the version: the profile's name and a digest of the manifest.
    """
    write_manifest(folder, manifest)
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    return f"{manifest.profile.name}-{file_digest(folder / MANIFEST_FILE)[:DIGEST_LENGTH]}"


def publish(sealed: Path, root: Path, version: str) -> Path:
    """Rename a sealed folder to its version's name and make it the current version.

    A version that exists already is kept. If it is damaged, it is moved next to ``sealed`` and
    replaced.

    Args:
        sealed: folder that ``seal`` finished; on the same file system as root.
        root: the index folder.
        version: name that ``seal`` returned.

    Returns:
        The version's folder.
    """
    target = root / version
    if target.exists() and not is_intact(target):
        damaged = sealed.with_name(f"{version}.damaged")
        shutil.rmtree(damaged, ignore_errors=True)
        target.rename(damaged)
    if not target.exists():
        sealed.rename(target)
    make_current(root, version)
    return target


def make_current(root: Path, version: str) -> None:
    """Write a version's name to the file ``current``, in one atomic step."""
    scratch = root / f".{CURRENT_FILE}"
    scratch.write_text(version + "\n", encoding="utf-8")
    sync(scratch)
    scratch.replace(root / CURRENT_FILE)
    sync(root)
