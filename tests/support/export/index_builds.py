"""What the tests of an index build read of an index folder, and change in a catalogue."""

import csv
from collections.abc import Callable
from pathlib import Path

from export.index.build import BuiltIndex

Build = Callable[..., BuiltIndex]


def files(root: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path in it."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def versions(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def add_row(catalogue: Path, *fields: str) -> None:
    with (catalogue / "catalog.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(fields)


def picture(catalogue: Path, product: str = "p0000") -> Path:
    return catalogue / "images" / f"{product}.png"
