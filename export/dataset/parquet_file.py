"""The reader of Parquet files; its errors name the file and the row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.dataset.arrow_values import arrow_values
from export.dataset.table import NeededColumns, Record, check_columns, column_names
from export.dataset.text_file import head_of, refuse_other_format
from retrieval_server.errors import CatalogueError

_MAGIC = b"PAR1"
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # an index of rows that has no name


def parquet_records(file: Path, needed: NeededColumns) -> Iterator[tuple[str, Record]]:
    """Read a Parquet file, row by row.

    Args:
        file: the file. The column of an index without a name, which pandas writes, is left out.
        needed: columns it must have.

    Yields:
        The location, such as ``row 7``, and the row.

    Raises:
        CatalogueError: if the file cannot be read, or a column is missing or appears twice.
    """
    head = head_of(file)
    if not head.startswith(_MAGIC):
        refuse_other_format(file, head)
        raise CatalogueError(
            f"Cannot read the catalogue {file}: it is no Parquet file. If it is CSV or JSON lines, "
            "give it the suffix .csv or .jsonl."
        )
    with _border(file):
        import pyarrow.parquet

        table = pyarrow.parquet.ParquetFile(file)
        indices = [
            index
            for index, name in enumerate(table.schema_arrow.names)
            if not _PANDAS_INDEX.fullmatch(name)
        ]
        columns = tuple(table.schema_arrow.names[index] for index in indices)
        names = column_names(columns, needed)
        check_columns(file, names, needed)
        number = 0
        for batch in table.iter_batches():
            values = [arrow_values(batch.column(index)) for index in indices]
            for row in zip(*values, strict=True):
                number += 1
                yield f"row {number}", dict(zip(names, row, strict=True))


@contextmanager
def _border(file: Path) -> Iterator[None]:
    """Turn whatever pyarrow raises into an error that names the file."""
    try:
        yield
    except CatalogueError:
        raise
    except Exception as error:  # ArrowException, OSError, ValueError, NotImplementedError ...
        printable = "".join(c if c.isprintable() else " " for c in str(error))
        reason = " ".join(printable.split()).rstrip(".") or type(error).__name__
        raise CatalogueError(
            f"Cannot read the catalogue {file}: {reason}. Write it again, or write it as CSV."
        ) from error
