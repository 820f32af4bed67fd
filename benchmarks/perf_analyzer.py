"""Measure the local Triton with NVIDIA's perf_analyzer, an independent client.

``make bench-perf-analyzer`` installs perf_analyzer in a separate environment (tritonclient 2.51.0
is the last wheel with the program for older Linux systems) and runs it on the profile ``lite``,
with one to eight requests at a time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.local_triton import local_triton
from export.models.profiles import LITE

PACKAGE = "tritonclient==2.51.0"
CONCURRENCY = (1, 2, 4, 8)
REQUESTS = 120  # for each concurrency
COLUMNS = {
    "Concurrency": "at a time",
    "Inferences/Second": "images/s",
    "p50 latency": "p50 ms",
    "p90 latency": "p90 ms",
    "p99 latency": "p99 ms",
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--work", type=Path, default=Path("build/bench/perf_analyzer"))
    options = parser.parse_args()
    program, libraries = _set_up(options.work)
    rows: list[dict[str, str]] = []
    with local_triton(options.model_repository, (LITE.name,)) as addresses:
        for concurrency in CONCURRENCY:
            rows += _run(program, libraries, addresses["grpc"], concurrency, options.work)
    table = Table(title=f"perf_analyzer, ensemble {LITE.name}, one image a request, gRPC")
    for column in COLUMNS.values():
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row.values())
    Console(width=100).print(table)
    print(json.dumps(rows))


def _set_up(work: Path) -> tuple[Path, Path]:
    """Install perf_analyzer, and link the libraries that it needs from Triton's wheel.

    Returns:
        The program, and the folder with the libraries.
    """
    venv, libraries = work / "venv", work / "lib"
    site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    if not (venv / "bin" / "perf_analyzer").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", PACKAGE], check=True)
    libraries.mkdir(exist_ok=True)
    bundled = Path("build/local_triton/venv") / site / "nvidia_pytriton.libs"
    for name, pattern in (("libb64.so.0d", "libb64-*"), ("libcudart.so.12", "libcudart-*")):
        link = libraries / name
        link.unlink(missing_ok=True)
        link.symlink_to(next(bundled.resolve().glob(pattern)))
    return venv / "bin" / "perf_analyzer", libraries


def _run(
    program: Path, libraries: Path, url: str, concurrency: int, work: Path
) -> list[dict[str, str]]:
    output = work / f"{concurrency}.csv"
    command = [program, "-m", LITE.name, "-u", url, "-i", "grpc", "-b", "1"]
    command += ["--concurrency-range", str(concurrency), "--measurement-mode", "count_windows"]
    command += ["--measurement-request-count", str(REQUESTS), "-s", "60", "-r", "3", "-f", output]
    subprocess.run(
        list(map(str, command)),
        check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # server times of the ensemble, summed over its models
    )
    with output.open(newline="") as file:
        return [
            {
                short: f"{float(row[name]) / (1e3 if short.endswith('ms') else 1):.4g}"
                for name, short in COLUMNS.items()  # latencies are in microseconds
            }
            for row in csv.DictReader(file)
        ]


if __name__ == "__main__":
    main()
