"""Fuzzes a target in a process of its own, with a limit of memory and of time for each input."""

import hashlib
import os
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.fuzz.target import Target

SEED = 1
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)$", re.MULTILINE)
_COVERAGE = re.compile(r"cov: (\d+)")
_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Outcome:
    """What came of a target.

    Attributes:
        target: it.
        inputs: how many were read.
        seconds: that it took, with its preparation.
        edges: of the code that were reached.
        grown_mib: how much memory the process took on top of what it began with, at most.
        report: what was found, with the input; empty if nothing was.
    """

    target: Target
    inputs: int
    seconds: float
    edges: int
    grown_mib: int
    report: str


def fuzz(target: Target, inputs: int, findings: Path) -> Outcome:
    """Fuzz a target.

    Args:
        target: it.
        inputs: how many.
        findings: folder for the inputs that are findings.
    """
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_in_memory()) as folder:
        log = Path(folder, "log")
        child = os.fork()
        if child == 0:
            _fuzz_here(target, inputs, Path(folder), log, findings)
        status = os.waitstatus_to_exitcode(os.wait4(child, 0)[1])
        seconds = time.monotonic() - started
        return _outcome(target, log.read_text(errors="replace"), status, seconds)


def _fuzz_here(target: Target, inputs: int, folder: Path, log: Path, findings: Path) -> NoReturn:
    """Fuzz in this process, which ends."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        import atheris

        warnings.simplefilter("ignore")  # as in production, where a warning stops nothing
        files, corpus = folder / "files", folder / "corpus"
        files.mkdir()
        corpus.mkdir()
        prepared = target.prepare(files)
        for number, seed in enumerate(prepared.seeds):
            assert len(seed) <= target.longest, f"seed {number} has {len(seed)} bytes"
            (corpus / f"{number:03d}").write_bytes(seed)
        prefix = findings / f"{target.name.replace(' ', '-')}-"
        resident_mib = _resident_mib()
        os.write(output, f"stat::resident_at_start_mb: {resident_mib}\n".encode())
        _limit_address_space(target.memory_mib)

        def keeping(data: bytes) -> None:
            try:
                target.read(prepared.read, data)
            except BaseException:
                prefix.with_name(
                    f"{prefix.name}{hashlib.sha256(data).hexdigest()[:12]}"
                ).write_bytes(data)
                raise

        arguments = [
            "fuzz",
            f"-runs={inputs}",
            f"-max_len={target.longest}",
            f"-timeout={target.longest_s}",
            f"-rss_limit_mb={resident_mib + target.memory_mib}",
            f"-seed={SEED}",
            f"-artifact_prefix={prefix}",
            "-print_final_stats=1",
            str(corpus),
        ]
        atheris.Setup(arguments, keeping)
        atheris.Fuzz()
    except SystemExit:  # by atheris, after an exception of the reader, which is in the log
        pass
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)  # without a finding, libFuzzer has ended the process with 0


def _in_memory() -> Path | None:
    """Where files are kept in memory: a disk waits each time that a file is written anew."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


def _resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE >> 20


def _limit_address_space(mib: int) -> None:
    """Let an allocation fail that goes beyond a limit."""
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    limit = reserved + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _outcome(target: Target, log: str, status: int, seconds: float) -> Outcome:
    said = {name: int(number) for name, number in _STATISTIC.findall(log)}
    edges = [int(number) for number in _COVERAGE.findall(log)]
    return Outcome(
        target,
        inputs=said.get("number_of_executed_units", 0),
        seconds=seconds,
        edges=max(edges, default=0),
        grown_mib=said.get("peak_rss_mb", 0) - said.get("resident_at_start_mb", 0),
        report="" if status == 0 else f"exit status {status}\n{log[-4000:]}",
    )
