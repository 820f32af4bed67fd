"""What a Triton leaves behind when it is killed: processes and shared memory, found by a mark.

The mark is the prefix of the server's shared-memory regions. It is an argument of tritonserver, and
each stub has a region's name among its own, so that it tells our processes from any other Triton's.
A stub whose server was killed mostly exits by itself; some wait for ever in a futex.

As a program, this is the guard against the death of ``serve.py`` itself: it reads the mark from
its standard input, waits there for the end of the file - which comes when ``serve.py`` closes the
pipe or is killed, be it by SIGKILL - and removes what is left. It has a session of its own, so that
Ctrl-C in a terminal does not reach it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's regions are, not ours to name
PROGRAMS = ("/tritonserver\0", "triton_python_backend_stub")
POLL_S = 0.05
PATIENCE_S = 5.0


def marked_processes(mark: str) -> dict[int, list[str]]:
    """The tritonserver and the stubs that have the mark in their arguments.

    A stub is started by a shell, whose arguments name the stub and the mark, too.

    Args:
        mark: what to look for.

    Returns:
        Arguments by process id, without the zombies, which have none.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # it ended while we looked
            if mark in arguments and any(name in arguments for name in PROGRAMS):
                found[int(folder.name)] = arguments.rstrip("\0").split("\0")
    return found


def remove_traces(mark: str) -> None:
    """Kill every process with the mark, then unlink the shared-memory regions that start with it.

    Args:
        mark: what to look for.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (pids := marked_processes(mark)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_S)
    for path in SHARED_MEMORY.glob(f"{mark}*"):
        path.unlink(missing_ok=True)


class Guard:
    """Removes the traces of a mark when this process ends, however it ends."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mark}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """Let the guard look once more and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _watch() -> None:
    mark = sys.stdin.readline().strip()
    sys.stdin.read()
    if mark:
        remove_traces(mark)


if __name__ == "__main__":
    _watch()
