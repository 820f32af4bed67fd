"""Soaks a server, and prints what came of it; the exit status is 1 if it did not hold.

Example:
    python -m tests.soak --minutes 30
"""

import argparse
import sys

from tests.soak.soak import SoakResult, SoakSettings, soak

BACK_WITHIN_S = 15.0
GROWTH_MIB_PER_MIN = 1.0
FURTHER_DESCRIPTORS = 40  # connections of the callers, old ones among them


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two faults")
    parser.add_argument("--engine", choices=("triton", "embedded"), default="triton")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args(arguments)
    settings = SoakSettings(
        seconds=60 * told.minutes,
        every_s=told.every,
        with_triton=told.engine == "triton",
        seed=told.seed,
    )
    result = soak(settings, lambda line: print(line, flush=True))
    print(*report(result), sep="\n")
    found = failures(result)
    print(*(f"FAILED: {each}" for each in found), sep="\n")
    return 1 if found else 0


def report(result: SoakResult) -> list[str]:
    """What happened, in lines."""
    searches = ", ".join(f"{count:,} {status}" for status, count in result.outcomes.most_common())
    changes = ", ".join(f"{count:,} {kind}" for kind, count in result.changes.items())
    fewest, last = result.descriptors()
    return [
        f"searches: {searches}; wrong: {len(result.wrong)}",
        f"changes that were answered: {changes}; lost: {len(result.lost)}; "
        f"versions by compaction: {result.versions - 2}",
        f"{'fault':18} {'times':>5} {'longest s':>10}",
        *(
            f"{name:18} {len(times):>5} {max(times):>10.1f}"
            for name, times in sorted(result.back_s.items())
        ),
        f"server: started {result.starts} times, exit status {result.exit_status}",
        f"memory of the process that ran longest: {last.resident_mib:.0f} MiB, "
        f"{result.samples.slope_mib_per_min():+.2f} MiB a minute in its second half",
        f"its open files: {fewest.descriptors} at least, {last.descriptors} at the end",
        f"Triton's shared memory: {result.regions[0]} regions at the start, "
        f"{result.regions[1]} at the end; left after its end: {len(result.triton_left)}",
    ]


def failures(result: SoakResult) -> list[str]:
    """What did not hold, in lines."""
    fewest, last = result.descriptors()
    slowest = max((max(times) for times in result.back_s.values()), default=0.0)
    checks = {
        f"{len(result.wrong)} wrong answers, such as {result.wrong[:3]}": bool(result.wrong),
        f"{len(result.lost)} changes lost, such as {result.lost[:3]}": bool(result.lost),
        f"back after {slowest:.1f} s, more than {BACK_WITHIN_S:g}": slowest > BACK_WITHIN_S,
        "memory grows": result.samples.slope_mib_per_min() > GROWTH_MIB_PER_MIN,
        "open files grow": last.descriptors > fewest.descriptors + FURTHER_DESCRIPTORS,
        "shared memory grows": result.regions[1] > result.regions[0],
        f"left of Triton: {result.triton_left}": bool(result.triton_left),
        f"exit status {result.exit_status}": result.exit_status != 0,
    }
    return [problem for problem, is_found in checks.items() if is_found]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
