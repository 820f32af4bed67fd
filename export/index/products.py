"""The stage of a build that writes what the catalogue says of the products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.dataset.catalogue import CatalogueRow
from export.descriptors.block import Reject
from export.progress import progress
from retrieval_server.attributes.columns import ColumnRecord, write_column
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import ID_ORDER_FILE, REJECTS_FILE
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.storage.string_table import write_string_table


def write_products(
    folder: Path,
    products: Sequence[CatalogueRow],
    columns: Sequence[str],
    rejects: Sequence[Reject],
) -> tuple[ColumnRecord, ...]:
    """Write the texts of the products, row by row and column by column, and the rejects.

    Args:
        folder: folder of the bundle.
        products: one for each row.
        columns: the names of the catalogue's further columns.
        rejects: the rows of the catalogue that are not in the index.

    Returns:
        What the manifest records about the columns.
    """
    write_string_table(folder, "ids", (product.product_id for product in products))
    write_string_table(folder, "descriptions", (product.description for product in products))
    write_string_table(folder, "images", (product.image for product in products))
    write_string_table(
        folder,
        "attributes",
        (json.dumps(product.attributes, ensure_ascii=False) for product in products),
    )
    order = sorted(range(len(products)), key=lambda row: products[row].product_id.encode())
    np.save(folder / ID_ORDER_FILE, np.array(order, dtype=np.int32))
    lines = [json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects]
    (folder / REJECTS_FILE).write_text("".join(lines), encoding="utf-8")
    return _write_columns(folder, products, columns)


def read_rejects(folder: Path) -> tuple[Reject, ...]:
    """The rows of the catalogue that are not in a bundle.

    Args:
        folder: folder of the bundle.

    Raises:
        IndexBundleError: if their file is missing or damaged.
    """
    path = folder / REJECTS_FILE
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return tuple(Reject(**json.loads(line)) for line in lines if line)
    except (OSError, ValueError, TypeError) as error:
        raise IndexBundleError(f"Cannot read {path}: {error}. {REBUILD}") from error


def _write_columns(
    folder: Path, products: Sequence[CatalogueRow], names: Sequence[str]
) -> tuple[ColumnRecord, ...]:
    records = []
    with progress("columns", len(names)) as advance:
        for number, name in enumerate(names):
            values = [product.attributes.get(name) for product in products]
            records.append(write_column(folder, number, name, values))
            advance(1)
    return tuple(records)
