"""How long a test waits for what must happen."""

import time
from collections.abc import Callable

# Only a test that fails waits so long. It is no statement about speed: on a machine that is many
# times overloaded, what takes milliseconds elsewhere takes seconds.
PATIENCE_S = 600


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s"
        time.sleep(0.02)
