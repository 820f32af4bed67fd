"""Versions of an index: `seal` one, `store` it under its name, `publish` it, `open_index` it.

The index folder has two small files beside the versions. ``current`` names the version to serve.
``approved`` names the version whose loss (see ``index.loss``) has been compared with a bound, or
accepted by a person, when it was published; a server then serves it whatever the server's own bound
is. Both hold one name and a newline.
"""

from __future__ import annotations

import shlex
import shutil
import stat
from pathlib import Path

from retrieval_server.errors import CurrentFileError, IndexBundleError, IndexLossError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.changes_folder import has_changes
from retrieval_server.index.current_lock import current_lock
from retrieval_server.index.images import IndexedImages
from retrieval_server.index.loss import ANY_LOSS, loss_between
from retrieval_server.index.manifest import (
    IMAGES_SINCE,
    MANIFEST_FILE,
    Manifest,
    digest_in_name,
    write_manifest,
)
from retrieval_server.storage.arrays import sync
from retrieval_server.storage.files import SYSTEM_FILES, Files

CURRENT_FILE = "current"
APPROVED_FILE = "approved"
LONGEST_NAME = 255  # of a folder, on every usual file system


def open_index(path: Path) -> IndexBundle:
    """Open an index.

    Args:
        path: a version's folder, or a folder whose file ``current`` names the version.

    Raises:
        IndexBundleError: if there is no index at the path, or it is damaged or of another format.
    """
    return IndexBundle(_version_at(path))


def open_images(path: Path) -> IndexedImages:
    """Open the images of an index, which may be of a former format.

    Args:
        path: as that of ``open_index``.

    Raises:
        IndexBundleError: if there is no index at the path, or it is damaged or too old.
    """
    return IndexedImages(_version_at(path), oldest=IMAGES_SINCE)


def _version_at(path: Path) -> Path:
    version = current_version(path)
    if version is not None:
        return version_folder(path, version)
    if is_version(path):
        return path
    raise IndexBundleError(f"There is no index at {path}. Build one with: beauty-export index")


def is_version(path: Path) -> bool:
    """Whether a path is the folder of a finished version, which has a manifest."""
    return (path / MANIFEST_FILE).is_file()


def version_folder(root: Path, version: str) -> Path:
    """The folder of the version that ``current`` names.

    Raises:
        CurrentFileError: if it does not exist.
    """
    folder = root / version
    if not folder.is_dir():
        raise CurrentFileError(
            f"{root / CURRENT_FILE} names {version}, but there is no {folder}. {_correction(root)}"
        )
    return folder


def finished_versions(root: Path) -> list[str]:
    """The names of the versions in an index folder, the newest first."""
    folders = [
        path for path in root.iterdir() if not path.name.startswith(".") and is_version(path)
    ]
    folders.sort(key=lambda path: (path / MANIFEST_FILE).stat().st_mtime, reverse=True)
    return [path.name for path in folders]


def current_version(path: Path) -> str | None:
    """The version that a folder's file ``current`` names; None if there is no such file.

    Raises:
        CurrentFileError: if the file cannot be read or does not hold the name of a folder.
    """
    current = path / CURRENT_FILE
    try:
        return _read_name(current)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CurrentFileError(f"Cannot read {current}: {reason}. {_correction(path)}") from error


def readable_current(root: Path) -> str | None:
    """The version that ``current`` names; None if there is no such file or it cannot be read."""
    try:
        return current_version(root)
    except CurrentFileError:
        return None


def approved_version(root: Path) -> str | None:
    """The version that a folder's file ``approved`` names; None if there is none to be read."""
    try:
        return _read_name(root / APPROVED_FILE)
    except (OSError, ValueError):
        return None


def _correction(root: Path) -> str:
    return f"Name a version with: beauty-export publish {shlex.quote(str(root))}"


def _read_name(path: Path) -> str:
    """Read a file that names a version; a byte order mark and outer white space are ignored.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no regular file or does not hold the name of a folder.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # reading a FIFO would never end
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(2 * LONGEST_NAME)
    try:
        name = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError("it is not text in UTF-8") from error
    if not name:
        raise ValueError("it is empty")
    is_folder_name = "/" not in name and not name.startswith(".") and name.isprintable()
    if not is_folder_name or len(name.encode()) > LONGEST_NAME:
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise ValueError(f"{shown!r} is not the name of a version")
    return name


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
    return f"{manifest.profile.name}-{digest_in_name(folder)}"


def store(sealed: Path, root: Path, version: str) -> Path:
    """Rename a sealed folder to its version's name.

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
    sync(root)
    return target


def publish(root: Path, version: str, max_loss: float) -> bool:
    """Make a finished version current, unless it has lost too much of the current one.

    There is nothing to compare with if no version is current or its files cannot be read. The
    version then becomes current, but not approved: a server compares it with what it serves.

    Args:
        root: the index folder.
        version: name of the version.
        max_loss: the largest share that may be lost, from 0 to 1.

    Returns:
        Whether the version has become current; False if it was before.

    Raises:
        IndexBundleError: if a file of the version is missing or damaged.
        IndexLossError: if the version has lost more than that, or there are changes to the current
            one and not any loss is allowed.
    """
    old = readable_current(root)
    if old == version:
        return False
    loss = None if old is None else loss_between(root / old, root / version)
    with current_lock(root):
        is_still_current = readable_current(root) == old
        if is_still_current:
            if old is not None and max_loss < ANY_LOSS:
                _require_no_changes(root, old, version)
            if loss is not None:
                loss.check(max_loss)
            make_current(root, version, is_approved=loss is not None)
    return True if is_still_current else publish(root, version, max_loss)


def _require_no_changes(root: Path, old: str, version: str) -> None:
    if has_changes(root / old):
        raise IndexLossError(
            f"Servers have taken changes to {root / old} (upserts and deletes), and {version} does "
            "not have them. Bring them into the catalogue, and build again with --max-loss "
            f"{ANY_LOSS:g}. To do without them, run: "
            f"beauty-export publish {shlex.quote(str(root))} {version}"
        )


def make_current(
    root: Path, version: str, *, is_approved: bool = False, files: Files = SYSTEM_FILES
) -> None:
    """Write a version's name to the file ``current``, in one atomic step.

    The caller has the ``current_lock`` if a server takes changes to the index.

    Args:
        root: the index folder.
        version: name of the version.
        is_approved: whether to write it to the file ``approved`` before.
        files: writes the files.
    """
    for name in (APPROVED_FILE, CURRENT_FILE) if is_approved else (CURRENT_FILE,):
        files.replace(root / name, root / f".{name}", [f"{version}\n".encode()])
