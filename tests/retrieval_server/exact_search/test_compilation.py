"""The compiled loops on another processor, and without a place for their cache."""

import os
import subprocess
import sys

from retrieval_server.exact_search.kernels.vector_instructions import HAS_VNNI
from retrieval_server.exact_search.warm_up import compile_kernels
from tests.support.paths import ROOT
from tests.support.programs.command import command
from tests.support.programs.printed_bounds import print_bounds


def test_processor_without_the_wide_instruction_gives_the_same_bounds(tmp_path):
    """Bit for bit where both can be run; the integer sums are the same everywhere."""

    def printed(**environment: str) -> list[str]:
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **environment}
        run = subprocess.run(
            command(print_bounds),
            env=variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.split()

    has_it, here = printed()
    without, there = printed(NUMBA_CPU_NAME="x86-64-v3", NUMBA_CPU_FEATURES="+avx2,+fma")
    assert without == "False"
    assert has_it == str(HAS_VNNI)
    assert there == here


def test_search_without_a_place_for_a_cache_still_compiles(tmp_path):
    name = compile_kernels.__name__
    code = f"from {compile_kernels.__module__} import {name}; {name}(); print('done')"
    variables = {**os.environ, "NUMBA_CACHE_DIR": "/proc/no/such/place"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "done\n"
