"""Fuzzes the readers; see the package. Prints a line for each target, and what was found.

Example:
    python -m tests.fuzz --inputs 40000 --findings build/fuzz
    python -m tests.fuzz images filters --inputs 1000000
"""

import argparse
import re
import sys
from pathlib import Path

import atheris

from tests.support.paths import ROOT

COMPILED = re.compile(r"^(?:from numba|from \S*compilation) ", re.MULTILINE)
PACKAGES = ("export", "retrieval_server")


def _compiled_modules() -> list[str]:
    """The modules that numba compiles functions of; these have to stay as they are."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if COMPILED.search(path.read_text(encoding="utf-8"))
    ]


with atheris.instrument_imports([*PACKAGES, "PIL", "tomllib"], _compiled_modules()):
    from tests.fuzz.running import Outcome, fuzz
    from tests.fuzz.targets import TARGETS

NAMES = {target.name: target for target in TARGETS}


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    options.findings.mkdir(parents=True, exist_ok=True)
    print(f"{'target':14} {'inputs':>9} {'seconds':>9} {'edges':>7} {'memory':>9}")
    outcomes = []
    for name in options.targets or NAMES:
        target = NAMES[name]
        outcomes.append(fuzz(target, max(1, options.inputs // target.cost), options.findings))
        print(_line(outcomes[-1]), flush=True)
    total = sum(outcome.inputs for outcome in outcomes)
    findings = [outcome for outcome in outcomes if outcome.report]
    for outcome in findings:
        print(f"\n{outcome.target.name}: {outcome.report}")
    print(f"{total:,} inputs, {len(findings)} of {len(outcomes)} targets with a finding")
    return 1 if findings else 0


def _line(outcome: Outcome) -> str:
    return (
        f"{outcome.target.name:14} {outcome.inputs:>9,} {outcome.seconds:>9.1f} "
        f"{outcome.edges:>7,} {outcome.grown_mib:>5} MiB{'  FOUND' if outcome.report else ''}"
    )


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--inputs", type=int, required=True, help="for a target of cost 1")
    parser.add_argument(
        "--findings", type=Path, default=Path("build/fuzz"), help="for inputs that are findings"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.targets if name not in NAMES]:
        parser.error(f"no target {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
