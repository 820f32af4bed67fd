"""What processes hold: memory, file descriptors, threads, shared memory."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PAGE = 4096
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Held:
    """What a process held at a moment.

    Attributes:
        at: seconds, monotonic.
        resident_mib: memory.
        descriptors: open files and sockets.
    """

    at: float
    resident_mib: float
    descriptors: int


def held(pid: int) -> Held | None:
    """What a process holds; None if it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        descriptors = len(list((folder / "fd").iterdir()))
    except OSError:
        return None
    return Held(time.monotonic(), pages * PAGE / 2**20, descriptors)


def shared_regions(mark: str) -> int:
    """How many regions of shared memory have a mark in their names."""
    return len([path for path in SHARED_MEMORY.iterdir() if mark in path.name])


@dataclass
class Samples:
    """Samples of a server, by the process that was sampled."""

    by_pid: dict[int, list[Held]] = field(default_factory=dict)

    def add(self, pid: int) -> None:
        """Take a sample."""
        if (sample := held(pid)) is not None:
            self.by_pid.setdefault(pid, []).append(sample)

    @property
    def longest(self) -> list[Held]:
        """The samples of the process that ran longest."""
        return max(self.by_pid.values(), key=lambda each: each[-1].at - each[0].at)

    def slope_mib_per_min(self) -> float:
        """How fast the memory of that process grew in the second half of its time."""
        later = self.longest[len(self.longest) // 2 :]
        if len(later) < 2:
            return 0.0
        slope = np.polyfit([each.at for each in later], [each.resident_mib for each in later], 1)[0]
        return float(60 * slope)
