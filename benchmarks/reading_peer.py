"""rapidocr-onnxruntime, which brings the reader's models and the steps that ours follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "reading_peer"
PROGRAM = Path(__file__).with_name("reading_peer_program.py")


@dataclass(frozen=True)
class PeerReading:
    """What the library finds on an image.

    Attributes:
        boxes: (K, 4, 2) corners of the boxes that it recognises, in whole pixels.
        texts: of the lines that it keeps.
        corners: (L, 4, 2) of these lines.
        cpu_s: CPU time of the process, in seconds.
    """

    boxes: NDArray[np.float64]
    texts: tuple[str, ...]
    corners: NDArray[np.float64]
    cpu_s: float


def install_peer() -> None:
    """Install the library into ``FOLDER``, if it is not there.

    Raises:
        RuntimeError: with the message of ``make``, if it cannot be installed.
    """
    target = str((FOLDER / ".installed").relative_to(ROOT))
    made = subprocess.run(
        ["make", "--silent", target, f"PYTHON={sys.executable}"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"make {target} failed: {' '.join((made.stdout + made.stderr).split())}")


def read_by_peer(
    images: Sequence[NDArray[np.uint8]], settings: Mapping[str, int]
) -> list[PeerReading]:
    """Read images with the library, on one core.

    Args:
        images: (H, W, 3) uint8 RGB each.
        settings: of the library by name; those that are not there have its defaults.

    Raises:
        RuntimeError: if the library cannot be installed, or fails; with its message.
    """
    install_peer()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npz"
        np.savez(file, *images)
        done = subprocess.run(
            [sys.executable, PROGRAM, file, json.dumps(dict(settings))],
            env=os.environ | {"PYTHONPATH": str(FOLDER)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"rapidocr-onnxruntime failed: {done.stderr.strip()[-500:]}")
    return [_reading(json.loads(line)) for line in done.stdout.splitlines()]


def _reading(answer: dict[str, Any]) -> PeerReading:
    lines = answer["lines"]
    return PeerReading(
        boxes=np.array(answer["boxes"], float).reshape(-1, 4, 2),
        texts=tuple(line["text"] for line in lines),
        corners=np.array([line["corners"] for line in lines], float).reshape(-1, 4, 2),
        cpu_s=answer["cpu_s"],
    )
