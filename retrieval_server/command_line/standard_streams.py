"""The standard streams of a command, made safe before anything uses them.

=======  ===========================================================================================
stdout   a character that it cannot express becomes ``?``; an error of a write names the stream
stderr   the same for characters; a message that cannot be written does not end the work
stdin    a read from a closed one fails, and no other file takes its number
COLUMNS  a width in which no table fits is removed, so that a table has the terminal's, or 80
=======  ===========================================================================================
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import sys
from typing import TextIO

STDIN, STDOUT, STDERR = range(3)
FEWEST_COLUMNS, MOST_COLUMNS = 40, 10_000


class StreamError(OSError):
    """Standard output cannot be written; the message says why."""

    def __str__(self) -> str:
        """One line."""
        reason = "it is closed" if self.errno == errno.EBADF else self.strerror
        return f"Cannot write to standard output: {reason}."


class _Results(io.FileIO):
    """Standard output: an error of a write names the stream."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamError(error.errno, error.strerror) from error


class _Messages(io.FileIO):
    """Standard error: what cannot be written is dropped, and the work goes on."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)


def make_streams_safe() -> None:
    """Make the streams of this process safe; one that a caller has replaced stays as it is."""
    # A closed stream gets a file in the wrong mode, so that its use fails (as GNU's stdopen does).
    for number, wrong in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_WRONLY)):
        _occupy(number, wrong)
    if sys.stdin is None:
        sys.stdin = open(STDIN, closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text_stream(_Results(STDOUT, "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text_stream(_Messages(STDERR, "w", closefd=False), sys.stderr)
    _forget_unusable_size()


def require_stdout() -> None:
    """Refuse long work whose result could not be printed.

    Raises:
        StreamError: if standard output is closed.
    """
    if _is_ours(sys.stdout) and not is_writable(STDOUT):
        raise StreamError(errno.EBADF, os.strerror(errno.EBADF))


def discard_output() -> None:
    """Drop what stdout still holds, so that the interpreter does not fail on it at its end."""
    if _is_ours(sys.stdout):
        _replace(STDOUT, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()


def is_writable(number: int) -> bool:
    """Tell whether a file descriptor is open for writing.

    Args:
        number: the descriptor.
    """
    try:
        return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


def _occupy(number: int, mode: int) -> None:
    """Open the null device under the number of a closed stream."""
    try:
        os.fstat(number)
    except OSError:
        _replace(number, mode)


def _replace(number: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def _text_stream(raw: io.FileIO, replaced: TextIO | None) -> TextIO:
    """A text stream over a file, with the encoding of the stream that it replaces."""
    if replaced is not None:
        replaced.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if replaced is None else replaced.encoding,
        errors="replace",
        line_buffering=getattr(replaced, "line_buffering", False),
        write_through=getattr(replaced, "write_through", False),
    )


def _is_ours(stream: TextIO) -> bool:
    return isinstance(getattr(getattr(stream, "buffer", None), "raw", None), _Results)


def _forget_unusable_size() -> None:
    """Remove COLUMNS and LINES where rich would fail on them, or print nothing."""
    columns = os.environ.get("COLUMNS", "")
    if not (columns.isdecimal() and FEWEST_COLUMNS <= int(columns[:9]) <= MOST_COLUMNS):
        os.environ.pop("COLUMNS", None)
    if not os.environ.get("LINES", "").isdecimal():
        os.environ.pop("LINES", None)
