"""The longest time that a command waits for anything."""

from __future__ import annotations

LONGEST_S = 31_536_000.0  # a year: gRPC fails at once with a limit that its clock cannot express


def waitable(duration_s: float) -> float:
    """A duration that gRPC can wait for.

    Args:
        duration_s: seconds; ``inf`` is no limit.

    Returns:
        The same seconds, at most ``LONGEST_S``.
    """
    return min(duration_s, LONGEST_S)
