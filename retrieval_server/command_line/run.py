"""Runs a command as a process: safe streams, one line for every error, Ctrl-C at any time.

Imports the standard library only: what comes first in a process is loaded before Ctrl-C is caught.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from retrieval_server.command_line.outcome import INTERRUPTED, one_line_outcome
from retrieval_server.command_line.standard_streams import make_streams_safe


def run(program: str, extra: str, load: Callable[[], Callable[[], object]]) -> None:
    """Load a command and run it.

    Args:
        program: its name, for messages.
        extra: what pip installs for it, such as ``'.[server]'``.
        load: imports the command and returns the function that runs it.

    Raises:
        SystemExit: if the command ends with another status than 0.
    """
    with exit_at_interrupt():
        make_streams_safe()
        with one_line_outcome(program, extra):
            command = load()
    try:
        with one_line_outcome(program, extra):
            command()
    finally:
        _set_exit_at_interrupt()  # a second Ctrl-C, while threads of the command end


@contextlib.contextmanager
def exit_at_interrupt() -> Iterator[None]:
    """End the process at once if Ctrl-C comes while the block imports modules.

    A KeyboardInterrupt inside an import may be lost in C code, or become another exception.
    """
    is_set = _set_exit_at_interrupt()
    try:
        yield
    finally:
        if is_set:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _set_exit_at_interrupt() -> bool:
    """Set the handler, unless a background job ignores Ctrl-C or a caller has its own handler."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    signal.signal(signal.SIGINT, _exit)
    return True


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
