"""Fuzzes readers with seeded defects; prints, for each, whether its input was kept.

A program of its own, because the fuzzer forks and instruments what is imported.
"""

import sys
import time
from pathlib import Path

import atheris

from tests.fuzz.running import fuzz
from tests.fuzz.target import Prepared, Target

INPUTS = 100_000
START = b"b...."


@atheris.instrument_func
def undocumented(data: bytes) -> None:
    """Fails for one beginning among 2**40, which only coverage leads to."""
    for place, byte in enumerate(b"bug:!"):
        if data[place : place + 1] != bytes([byte]):
            raise ValueError("it does not begin so")
    raise KeyError("undocumented")


def several_lines(data: bytes) -> None:
    if data != START:
        raise ValueError("one\ntwo")


def hanging(data: bytes) -> None:
    while data != START:
        time.sleep(0.01)


def greedy(data: bytes) -> None:
    if data != START:
        bytearray(2**30)


findings = Path(sys.argv[1])
for read in (undocumented, several_lines, hanging, greedy):
    target = Target(
        read.__name__, lambda _, read=read: Prepared(read, (START,)), (ValueError,), longest_s=1
    )
    outcome = fuzz(target, INPUTS, findings)
    kept = any(path.name.startswith(target.name) for path in findings.iterdir())
    sys.stdout.write(f"{target.name} {bool(outcome.report)} {kept}\n")
