"""How a command ends: its exit status, and one line for every error.

====  ===============================================================
0     done
1     failed
2     misused: an option or an argument is wrong
65    the input is at fault, so the same command would fail again
130   interrupted
====  ===============================================================

With the environment variable BEAUTY_TRACEBACK, the traceback of an error comes before its line.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping

from retrieval_server.command_line.standard_streams import StreamError, discard_output

FAILED = 1
BAD_INPUT = 65  # EX_DATAERR of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT
ERROR = "error: "  # begins the line
TRACEBACK = "BEAUTY_TRACEBACK"
LONGEST_TEXT = 200  # characters of a text that a message quotes
OUR_PACKAGES = ("client", "export", "retrieval_server")

Failures = Mapping[type[Exception], int]


@contextlib.contextmanager
def one_line_outcome(program: str, extra: str, failures: Failures | None = None) -> Iterator[None]:
    """End the process with one line and an exit status where the block raises an exception.

    Flushes standard output too, because a full disk is often noticed only then. A reader that has
    closed the output, as ``head`` does, ends the command without a line.

    Args:
        program: name of the command, for messages.
        extra: what pip installs for the command, such as ``'.[server]'``.
        failures: exit status by class of exception, for those whose message is for a person; the
            first class that fits counts.

    Raises:
        SystemExit: if the block ends with an exception.
    """
    try:
        with _flushed_stdout():
            yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        sys.exit(FAILED)
    except Exception as error:
        discard_output()
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        line, status = _explained(error, program, extra, failures or {})
        print(f"{ERROR}{' '.join(line.split())}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(status)


@contextlib.contextmanager
def _flushed_stdout() -> Iterator[None]:
    try:
        yield
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _explained(error: Exception, program: str, extra: str, failures: Failures) -> tuple[str, int]:
    """The line and the exit status of an exception."""
    for kind, status in failures.items():
        if isinstance(error, kind):
            return str(error), status
    return _line(error, program, extra), FAILED


def _line(error: Exception, program: str, extra: str) -> str:
    """What an exception of Python or of a library says to a person."""
    match error:
        case ModuleNotFoundError(name=str(name)) if name.split(".")[0] not in OUR_PACKAGES:
            return f"{program} needs {name}. Install it with: pip install {extra}"
        case StreamError():
            return str(error)
        case UnicodeEncodeError():
            text = str(error.object)[:LONGEST_TEXT]
            return (
                f"{text!r} cannot be written in the encoding {error.encoding}. If it is the name "
                "of a file, set LC_ALL=C.UTF-8; otherwise write it in UTF-8."
            )
        case MemoryError():
            return f"There is not enough memory. {error}".strip()
        case OSError(strerror=str(reason)):
            named = [str(name) for name in (error.filename, error.filename2) if name is not None]
            return f"{' and '.join(named)}: {reason}." if named else f"{reason}."
    return (
        f"unexpected {type(error).__name__}: {error}. Set {TRACEBACK}=1 and run the same command "
        "again to see where."
    )
