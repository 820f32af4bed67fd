"""The short form of `make fuzz`, and that the fuzzer finds what is there to be found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

INPUTS = 3_000  # for a target of cost 1; `Target.cost` says which get fewer


@pytest.fixture(autouse=True)
def fuzzer() -> None:
    pytest.importorskip("atheris", reason="needs atheris, which has no wheel for this Python")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_input_gives_anything_but_a_documented_error(tmp_path: Path) -> None:
    done = run("tests.fuzz", "--inputs", str(INPUTS), "--findings", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    total = re.search(r"^([\d,]+) inputs, 0 of (\d+) targets with a finding$", done.stdout, re.M)
    assert total is not None, done.stdout
    assert int(total[1].replace(",", "")) > INPUTS
    assert int(total[2]) >= 15


def test_seeded_defects_are_found_and_their_inputs_kept(tmp_path: Path) -> None:
    done = run("tests.support.programs.seeded_findings", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name} True True" for name in ("undocumented", "several_lines", "hanging", "greedy")
    ]
