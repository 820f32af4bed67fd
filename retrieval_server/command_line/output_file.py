"""Files that a command writes: a regular file appears whole, anything else is written to.

``-`` is standard output. A symbolic link stays, and the file that it names is written. A FIFO, a
device, or a descriptor (``/dev/stdout``, ``/dev/fd/N``) is written to once the content is complete.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from retrieval_server.command_line.standard_streams import (
    STDOUT,
    StreamError,
    is_writable,
    require_stdout,
)

DASH = Path("-")
DESCRIPTORS = re.compile(r"/proc/\d+(/task/\d+)?/fd")
MOST_LINKS = 40  # Linux's MAXSYMLINKS


class OutputError(Exception):
    """A file that a command should write cannot be written; the message is one line."""


@contextlib.contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its content if the block ends without an error.

    A regular file is written under another name in its folder, then renamed; it keeps its mode. It
    is written in place where the folder does not permit that.

    Args:
        path: the file, whose folder is made if it is missing; ``-`` is standard output.

    Yields:
        The file to write to. What is written to it is in no other place until the block ends.

    Raises:
        OutputError: if it cannot be written.
    """
    check_output(path)
    target = _target(path)
    with _explained(path):
        scratch = _scratch(target)
        try:
            with _opened(scratch) as content:
                yield content
                content.flush()
                if scratch is None or not _renamed(scratch, target):
                    content.seek(0)
                    _copy(content, target)
        finally:
            if scratch is not None:
                scratch.unlink(missing_ok=True)


def write_output(path: Path, text: str) -> None:
    """Write a text as UTF-8; see ``output_file``.

    Args:
        path: the file; ``-`` is standard output.
        text: the content; a character that UTF-8 cannot express becomes ``?``.

    Raises:
        OutputError: if it cannot be written.
    """
    with output_file(path) as file:  # a file name that is not UTF-8 has half surrogate pairs
        file.write(text.encode(errors="replace"))


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written, before the work that it is for.

    Args:
        path: the file; ``-`` is standard output.

    Raises:
        OutputError: if the file or its folder cannot be written.
    """
    with _explained(path):
        target = _target(path)
        if target == STDOUT:
            require_stdout()
        elif isinstance(target, int):
            if not is_writable(target):
                raise OutputError(f"Cannot write {path}: it is not open for writing.")
        elif target.is_dir():
            raise OutputError(f"Cannot write {path}: it is a folder. Name a file in it.")
        elif target.exists():
            if not os.access(target, os.W_OK):
                raise OutputError(f"Cannot write {path}: there is no permission to.")
        else:
            _check_folder(path, target)


def check_folder(path: Path) -> None:
    """Refuse a folder of outputs that cannot be written, before the work that it is for.

    Args:
        path: the folder, which need not exist.

    Raises:
        OutputError: if it is no folder, or cannot be written.
    """
    with _explained(path):
        _check_folder(path, path / "file")


def is_stdout(path: Path | None) -> bool:
    """Tell whether an output goes to standard output.

    Args:
        path: the output; None is no output.
    """
    if path is None:
        return False
    try:
        return _target(path) == STDOUT
    except OSError:
        return False


def same_outputs(outputs: Mapping[str, Path | None]) -> tuple[str, str] | None:
    """Find two outputs of a command that go to the same place.

    Args:
        outputs: file by option; None where the option is not given.

    Returns:
        The two options; None if there are no such outputs.
    """
    options: dict[int | Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        target = STDOUT if is_stdout(path) else Path(os.path.realpath(path))
        if target in options and not (isinstance(target, Path) and _is_special(target)):
            return options[target], option
        options[target] = option
    return None


def _target(path: Path) -> int | Path:
    """Follow the links of a path; a number is a descriptor of this process."""
    if path == DASH:
        return STDOUT
    own = {f"/proc/{os.getpid()}/fd", f"/proc/{os.getpid()}/task/{os.getpid()}/fd"}
    for _ in range(MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if path.name.isdecimal() and DESCRIPTORS.fullmatch(folder):
            return int(path.name) if folder in own else path
        if not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_special(target: Path) -> bool:
    """Tell whether a path exists and is neither a regular file nor a folder."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _check_folder(path: Path, target: Path) -> None:
    """Refuse a new file whose folder does not exist and cannot be made, or cannot be written."""
    folder = next(each for each in target.absolute().parents if os.path.lexists(each))
    if not folder.is_dir():
        raise OutputError(f"Cannot write {path}: {folder} is not a folder. Choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"Cannot write {path}: there is no permission to write in {folder}. Choose another "
            "place."
        )


def _scratch(target: int | Path) -> Path | None:
    """Make an empty file beside a regular file, with its mode.

    Returns:
        The file; None where the target is no regular file, or its folder does not permit it.
    """
    if isinstance(target, int) or _is_special(target):
        return None
    scratch = target.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch(exist_ok=False)
    except OSError as error:
        if target.exists():
            return None
        raise OSError(error.errno, error.strerror) from error  # without the name of the scratch
    if target.exists():
        found = target.stat()
        with contextlib.suppress(OSError):  # only root may give a file to another user
            os.chown(scratch, found.st_uid, found.st_gid)
        with contextlib.suppress(OSError):
            scratch.chmod(stat.S_IMODE(found.st_mode))
    return scratch


def _opened(scratch: Path | None) -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile()) if scratch is None else scratch.open("w+b")


def _renamed(scratch: Path, target: int | Path) -> bool:
    """Put a complete file in the place of another; False where that is not permitted."""
    try:
        scratch.replace(target)  # type: ignore[arg-type]
    except OSError:  # a mount point, such as a single file in a container
        return False
    return True


def _copy(content: BinaryIO, target: int | Path) -> None:
    """Write a complete content to what cannot be replaced."""
    if isinstance(target, Path):
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
    elif target == STDOUT:
        shutil.copyfileobj(content, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        with os.fdopen(os.dup(target), "wb") as file:
            shutil.copyfileobj(content, file)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the output in an error of the system that names no file."""
    try:
        yield
    except StreamError:
        raise
    except OSError as error:
        if error.filename not in {None, path, str(path)}:
            raise
        if isinstance(error, BrokenPipeError) and is_stdout(path):
            raise
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
