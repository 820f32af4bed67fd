"""What can go wrong, and how this folder speaks on stderr.

::

    LocalTritonError                    exit 1
    ├── TritonCallError                 a call that Triton refused or did not answer
    └── EnvironmentUnavailableError     exit 3: not on this machine, whatever one does to the models
"""

from __future__ import annotations

import sys


class LocalTritonError(Exception):
    """The server cannot be started; the text is for people."""


class EnvironmentUnavailableError(LocalTritonError):
    """This platform, interpreter or package index cannot give the environment."""


class TritonCallError(LocalTritonError):
    """Triton refused a call or did not answer; the text is its own."""


def say(line: str) -> None:
    """Write one line on stderr, at once.

    Args:
        line: what happened.
    """
    sys.stderr.write(f"local_triton: {line}\n")
    sys.stderr.flush()
