"""The images of a folder, found by their names; the same for every command.

A file is an image by its suffix, in upper or lower case; no file is opened. What is left out is
named in one line, so that no image is missing without a word:

=================  ================================================================================
other suffixes     ``notes.txt``, and an image without a suffix
hidden             ``.photo.jpg``; a folder whose name begins with a dot, or that a system made
no regular files   a FIFO, a socket or a device under an image's name
photos twice       ``photo.heic`` beside ``photo.jpg``, as phones export them: the JPEG is used
folders            where subfolders are not searched; where they are, those that cannot be read
=================  ================================================================================

Some files are left out without a word, because they never are images: hidden ones with another
suffix, ``Thumbs.db``, and macOS's ``._photo.jpg`` beside ``photo.jpg``. A broken link under an
image's name is listed: whoever opens it reports it.
"""

from __future__ import annotations

import enum
import os
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"),
    "PNG": (".png", ".apng"),
    "WebP": (".webp",),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
}
IMAGE_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
SYSTEM_FOLDERS = {  # macOS's archives, Synology's thumbnails, Windows' bin and metadata, ext4
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
NAMES_SHOWN = 3  # of each kind of files left out


class Reason(enum.Enum):
    """Why something in a folder is left out."""

    SUFFIX = "no suffix of an image"
    HIDDEN = "hidden, or of the system"
    SPECIAL = "no regular file"
    TWICE = "the JPEG of that name is used"
    FOLDER = "subfolder; --recursive searches it"
    UNREADABLE = "folder that cannot be read"


@dataclass(frozen=True)
class ImageListing:
    """The images of a folder, and what was left out.

    Attributes:
        folder: the folder.
        images: paths relative to it, with ``/``, sorted by folder and name.
        left_out: paths of what was left out, by reason, in the same order.
    """

    folder: Path
    images: tuple[str, ...]
    left_out: dict[Reason, tuple[str, ...]]

    def left_out_line(self) -> str:
        """Name what was left out, in one line; empty if there is nothing to name."""
        if not self.left_out:
            return ""
        total = sum(map(len, self.left_out.values()))
        kinds = (f"{_first(paths)} ({reason.value})" for reason, paths in self.left_out.items())
        return f"{total:,} left out of {self.folder}: {'; '.join(kinds)}."


def list_images(
    folder: Path, *, recursive: bool = True, tables: tuple[str, ...] = ()
) -> ImageListing:
    """Find the images of a folder.

    Args:
        folder: the folder, which may be hidden.
        recursive: whether to search its subfolders too. Links to folders are followed, and each
            folder is searched once: by its own path if it has one below ``folder``.
        tables: suffixes of files that belong to the folder beside the images, and are not named.

    Raises:
        OSError: if the folder cannot be read.
    """
    images: list[str] = []
    left_out: defaultdict[Reason, list[str]] = defaultdict(list)
    for path, entry in _entries(folder, left_out, recursive=recursive):
        reason = _reason(path, entry)
        if reason is None:
            images.append(path)
        elif not _is_expected(entry, tables):
            left_out[reason].append(path)
    twice = _second_forms(images)
    left_out[Reason.TWICE] += twice
    images = [path for path in images if path not in twice]
    ordered = {each: _sorted(left_out[each]) for each in Reason if left_out[each]}
    return ImageListing(folder, _sorted(images), ordered)


def _entries(
    root: Path, left_out: dict[Reason, list[str]], *, recursive: bool
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files of a folder and those below, with their paths; collect folders left out."""
    folders, links = deque([""]), deque[str]()
    seen = set()
    while folders or links:
        prefix = (folders or links).popleft()
        inner = []
        try:
            status = os.stat(root / prefix)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if not _is_folder(entry):
                        yield path, entry
                    elif _is_hidden(entry.name) or entry.name.lower() in SYSTEM_FOLDERS:
                        left_out[Reason.HIDDEN].append(path)
                    elif not recursive:
                        left_out[Reason.FOLDER].append(path)
                    else:
                        inner.append((path + "/", entry.is_symlink()))
        except OSError:
            if not prefix:
                raise
            left_out[Reason.UNREADABLE].append(prefix)
        for path, is_link in sorted(inner):  # the order of the file system must not matter
            (links if is_link else folders).append(path)


def _reason(path: str, entry: os.DirEntry[str]) -> Reason | None:
    """Why a file is left out; None if it is an image."""
    if not path.lower().endswith(IMAGE_SUFFIXES):
        return Reason.SUFFIX
    if _is_hidden(entry.name):
        return Reason.HIDDEN
    return Reason.SPECIAL if _is_special(entry) else None


def _second_forms(images: Collection[str]) -> set[str]:
    """The HEIC files beside which a JPEG has the same name."""
    heics = [path for path in images if path.lower().endswith(SUFFIXES["HEIC"])]
    jpegs = {_stem(path) for path in images if path.lower().endswith(SUFFIXES["JPEG"])}
    return {path for path in heics if _stem(path) in jpegs}


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _is_expected(entry: os.DirEntry[str], tables: tuple[str, ...]) -> bool:
    """Tell whether a file that is no image needs no word."""
    name = entry.name.lower()
    if name.startswith("._"):  # what macOS writes beside a file on a disk of another system
        return os.path.lexists(Path(entry.path).with_name(entry.name[2:]))
    is_image = name.endswith(IMAGE_SUFFIXES)
    return name in SYSTEM_FILES or name.endswith(tables) or (_is_hidden(name) and not is_image)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Tell whether to open a file may block, as a FIFO does; a broken link is not special."""
    try:
        return not entry.is_file() and os.path.exists(entry.path)  # noqa: PTH110
    except OSError:  # a link to itself
        return False


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=lambda path: path.split("/")))


def _first(paths: tuple[str, ...]) -> str:
    """The first paths, and how many more there are."""
    shown = [path if path.isprintable() else repr(path) for path in paths[:NAMES_SHOWN]]
    more = len(paths) - NAMES_SHOWN
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
