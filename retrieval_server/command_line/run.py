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
    with one_line_outcome(program, extra):
        command()


@contextlib.contextmanager
def exit_at_interrupt() -> Iterator[None]:
    """End the process at once if Ctrl-C comes while the block imports modules.

    A KeyboardInterrupt inside an import may be lost in C code, or become another exception.
    """
    handled = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or handled is not signal.default_int_handler:
        yield  # a background job ignores Ctrl-C, and a caller may have a handler of its own
        return
    signal.signal(signal.SIGINT, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handled)


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
