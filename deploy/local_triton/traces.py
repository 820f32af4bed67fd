"""Removes the traces of a killed Triton: processes and shared memory with a mark.

The mark is the prefix of the names of the server's shared-memory regions. It is in the arguments of
tritonserver, and each stub has the name of a region in its arguments. So the mark identifies the
processes of one Triton. Most stubs exit by themselves after their server is killed, but some wait
forever in a futex.

As a program, this module is a guard that cleans up after ``serve.py``. It reads the mark from its
standard input, and waits for the end of the input, which comes when ``serve.py`` closes the pipe or
is killed, even by SIGKILL. Then it removes the traces. The guard has its own session, so that
Ctrl-C in a terminal does not stop it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Triton chooses the folder of its regions
PROGRAMS = ("/tritonserver\0", "triton_python_backend_stub")
POLL_INTERVAL_S = 0.05
KILL_TIMEOUT_S = 5.0


def marked_processes(mark: str) -> dict[int, list[str]]:
    """The tritonserver and the stubs that have a mark in their arguments.

    A shell starts each stub. The shell's arguments name the stub and the mark, too, so the shell is
    among the processes.

    Args:
        mark: the mark.

    Returns:
        Arguments by process id, without zombies, which have no arguments.
    """
    processes = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # the process ended in the meantime
            if mark in arguments and any(name in arguments for name in PROGRAMS):
                processes[int(folder.name)] = arguments.rstrip("\0").split("\0")
    return processes


def remove_traces(mark: str) -> None:
    """Kill every process with a mark, then unlink the shared-memory regions with this prefix.

    Args:
        mark: the mark.
    """
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (pids := marked_processes(mark)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_INTERVAL_S)
    for path in SHARED_MEMORY.glob(f"{mark}*"):
        path.unlink(missing_ok=True)


class Guard:
    """Removes the traces of a mark when this process ends, even if it is killed."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mark}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """Wait until the guard has removed the traces and ended."""
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
