"""What is fuzzed: a reader, inputs to begin with, and the errors that it documents."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Reader = Callable[[bytes], object]


@dataclass(frozen=True)
class Prepared:
    """A reader that can be called, and what it accepts.

    Attributes:
        read: reads one input; raises one of the target's errors, or returns.
        seeds: inputs to begin with, mostly good ones.
    """

    read: Reader
    seeds: tuple[bytes, ...]


@dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes:
        name: how the command calls it.
        prepare: makes the reader, with a folder for its files.
        errors: what the reader may raise; its message must be one line.
        longest: bytes of the largest input.
        cost: how many inputs of a cheap target take as long as one; it gets as many times fewer.
        memory_mib: the most that the process may grow by while it reads.
        longest_s: the most that an input may take.
    """

    name: str
    prepare: Callable[[Path], Prepared]
    errors: tuple[type[Exception], ...]
    longest: int = 4096
    cost: int = 1
    memory_mib: int = 512
    longest_s: int = 10

    def read(self, reader: Reader, data: bytes) -> None:
        """Read an input; raises whatever is not documented, AssertionError for a bad message."""
        try:
            reader(data)
        except self.errors as error:
            message = str(error)
        else:
            return
        assert message, "an error without a message"
        assert "\n" not in message, f"a message of several lines: {message!r}"
