"""The table of ``deploy/README.md`` for 10 and 100 million products, calculated again."""

import json
import re
from collections.abc import Callable

import pytest

from benchmarks.text_shards import LARGER, Sharded, larger
from deploy.policies.rendering import DEPLOY, ROOT
from deploy.policies.sizing import (
    SERVER_BYTES,
    SERVER_BYTES_PER_DIMENSION,
    VERSIONS_IN_MEMORY,
    WORD_BYTES_PER_PRODUCT,
    dimensions_of,
    version_bytes,
)
from retrieval_server.stores.milvus import LONGEST_LIST
from retrieval_server.stores.store_search import SHORTEST_LIST

DIMENSIONS = dimensions_of("paper")
GUIDE = (DEPLOY / "README.md").read_text(encoding="utf-8")
FLOAT32, FLOAT16, INT8 = 4, 2, 1  # bytes a value
NODE_BYTES = 64e9


def gb(size: float) -> str:
    return f"{size / 1e9:,.0f} GB"


def server_bytes(products: float) -> float:
    return SERVER_BYTES + products * DIMENSIONS * SERVER_BYTES_PER_DIMENSION


def load_hours(products: float) -> float:
    text = (ROOT / "results" / "scale_out.md").read_text(encoding="utf-8")
    # The first run; the second one shared its machine with others.
    (rows, took_s), _ = re.findall(r"\*\*Load\*\*: ([\d,]+) rows in ([\d.]+) s", text)
    return products * float(took_s) / int(rows.replace(",", "")) / 3600


def joined(products: int) -> dict[str, float]:
    """What the join of the texts takes, from the measurement in ``results/``."""
    text = (ROOT / "results" / "text_shards.md").read_text(encoding="utf-8")
    (line,) = re.findall(r'^\{"runs".*$', text, re.MULTILINE)
    runs = [Sharded(**run) for run in json.loads(line)["runs"]]
    found = larger([run for run in runs if run.texts == "listings"], products, LARGER[products])
    return vars(found)


ROWS: dict[str, Callable[[int], str]] = {
    "Vectors as float32, which `load` writes": lambda n: gb(n * DIMENSIONS * FLOAT32),
    "Vectors as float16": lambda n: gb(n * DIMENSIONS * FLOAT16),
    "Vectors as int8": lambda n: gb(n * DIMENSIONS * INT8),
    "Load, by one process": lambda n: f"{load_hours(n):,.0f} h",
    "For comparison, disk of one version in files": lambda n: gb(
        version_bytes(n, DIMENSIONS, reads_images=False)
    ),
    "For comparison, memory of a server of files": lambda n: gb(server_bytes(n)),
    "Words, on the disk of each server, one version": lambda n: gb(n * WORD_BYTES_PER_PRODUCT),
    "Texts: shards, and pairs of them": lambda n: f"{joined(n)['shards']}, {joined(n)['tasks']:,}",
    "Texts: CPU of the fit, on one core": lambda n: f"{joined(n)['fit_cpu_s'] / 60:,.0f} min",
    "Texts: memory of the fit, beyond the catalogue's": lambda n: f"{joined(n)['fit_gb']:,.0f} GB",
    "Texts: CPU of all pairs": lambda n: f"{joined(n)['join_cpu_h']:,.1f} h",
    "Texts: memory of one pair": lambda n: f"{joined(n)['task_gb']:,.1f} GB",
    "Texts: memory of the merge, beyond the catalogue's": lambda n: (
        f"{joined(n)['merge_gb']:,.0f} GB"
    ),
    "Texts: disk of fit and pairs": lambda n: f"{joined(n)['disk_gb']:,.0f} GB",
}


@pytest.mark.parametrize("name", ROWS)
def test_a_calculated_row_is_what_the_constants_and_measurements_give(name: str) -> None:
    ten, hundred = (ROWS[name](products) for products in LARGER)
    assert f"| {name} | {ten} | {hundred} |" in GUIDE


def test_every_row_of_the_table_is_calculated() -> None:
    (table,) = re.findall(r"^\| For products .*\n\|[ :|-]+\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    assert {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()} == set(ROWS)


def test_figures_of_the_text_are_calculated() -> None:
    most = (NODE_BYTES / VERSIONS_IN_MEMORY - SERVER_BYTES) / (
        DIMENSIONS * SERVER_BYTES_PER_DIMENSION
    )
    vector = DIMENSIONS * FLOAT32
    for words in (
        f"{gb(NODE_BYTES)} of memory are enough for {most / 1e6:.0f} million products",
        f"{vector:,} bytes as float32, {DIMENSIONS * FLOAT16:,} as float16, {DIMENSIONS:,} as int8",
        f"{SHORTEST_LIST} candidates are {SHORTEST_LIST * vector / 1e6:.1f} MB",
        f"{LONGEST_LIST:,} candidates are {LONGEST_LIST * vector / 1e6:.0f} MB",
    ):
        assert words in GUIDE
