"""How long a test waits for what must happen."""

import time
from collections.abc import Callable, Iterator

# Only a test that fails waits so long. It is no statement about speed: on a machine that is many
# times overloaded, what takes milliseconds elsewhere takes seconds.
PATIENCE_S = 600


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s"
        time.sleep(0.02)


def growing_deadlines(first_s: float) -> Iterator[float]:
    """Deadlines until the test breaks off, each twice as long as the one before.

    A test takes the first one within which its call gets as far as it has to on this machine.

    Args:
        first_s: long enough on an idle machine.
    """
    deadline_s = first_s
    while deadline_s <= PATIENCE_S:
        yield deadline_s
        deadline_s *= 2
    raise AssertionError(f"not within {PATIENCE_S} s")
