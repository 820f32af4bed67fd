"""The errors of the local Triton, with their exit statuses, and its log lines on stderr.

::

    LocalTritonError                    exit 1
    ├── TritonCallError                 a call that Triton refused or did not answer
    └── EnvironmentUnavailableError     exit 3: this machine cannot run Triton, with any models
"""

from __future__ import annotations

import sys


class LocalTritonError(Exception):
    """The server cannot be started; the message is one line for a person."""


class EnvironmentUnavailableError(LocalTritonError):
    """The platform, the interpreter or the package index prevents the set-up of the environment."""


class TritonCallError(LocalTritonError):
    """Triton refused a call or did not answer; the message is Triton's."""


def log_line(line: str) -> None:
    """Write one line to stderr, unbuffered.

    Args:
        line: the message.
    """
    sys.stderr.write(f"local_triton: {line}\n")
    sys.stderr.flush()
