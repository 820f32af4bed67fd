"""The bytes a product that a version of an index takes, by their use.

    python -m benchmarks.version_size build/demo/index build/dev_index

The last row is the rule of ``deploy/README.md`` for the same number of products.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.policies.sizing import version_bytes
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index

# What begins the names of the files; the first that fits.
USES = {
    "descriptors": ("descriptors.",),
    "levels": ("search.", "coarse.", "middle.", "residual.", "bytes."),
    "similar descriptions": ("text_neighbours.", "terms.", "text_terms."),
    "words of descriptions": ("words.description.",),
    "words on images": ("words.image.", "read."),
    "catalogue, digests, the rest": ("",),
}


def bytes_by_use(folder: Path) -> dict[str, int]:
    """The bytes of a version's files."""
    sizes = dict.fromkeys(USES, 0)
    for path in folder.iterdir():
        use = next(use for use, begins in USES.items() if path.name.startswith(begins))
        sizes[use] += path.stat().st_size
    return sizes


def rule(bundle: IndexBundle) -> float:
    """The bytes that the rule has for a version."""
    return version_bytes(
        len(bundle),
        sum(model.dimension for model in bundle.manifest.models.values()),
        reads_images=bool(bundle.manifest.words.reader),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a column for each index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path, nargs="+")
    bundles = [open_index(path) for path in parser.parse_args(arguments).index]
    sizes = [bytes_by_use(bundle.folder) for bundle in bundles]
    table = Table(title="Bytes a product", title_justify="left")
    table.add_column("")
    for bundle in bundles:
        table.add_column(f"{bundle.folder.parent.name}, {len(bundle):,} products", justify="right")
    for use in USES:
        cells = zip(bundles, sizes, strict=True)
        table.add_row(use, *(f"{size[use] / len(bundle):,.1f}" for bundle, size in cells))
    table.add_section()
    for name, totals in (
        ("all", [sum(size.values()) for size in sizes]),
        ("the rule", [rule(bundle) for bundle in bundles]),
    ):
        cells = zip(bundles, totals, strict=True)
        table.add_row(name, *(f"{total / len(bundle):,.1f}" for bundle, total in cells))
    Console().print(table)


if __name__ == "__main__":
    main()
