"""One trial: the command ``beauty-export index`` on a dialect, and what came out of it."""

import io
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from export.cli import BAD_INPUT, main
from export.index.words import BRAND
from retrieval_server.attributes.columns import Column
from retrieval_server.attributes.values import ColumnKind, number_of, truth_of
from retrieval_server.index.bundle import STRING_TABLES, Product
from retrieval_server.index.manifest import MANIFEST_FILE
from retrieval_server.index.publish import CURRENT_FILE, open_index
from tests.support.export.beauty_export import Outcome
from tests.support.export.feeds.dialect import Dialect, Row
from tests.support.export.feeds.plain_catalogue import plain_rows, write_plain

REQUIRED = ("id", "image", "description")
BY_PRODUCT = (  # compared product by product, or checksums of what is; all others are by byte
    MANIFEST_FILE,
    "columns.",
    *(f"{table}.{part}.npy" for table in STRING_TABLES for part in ("offsets", "bytes")),
)


@dataclass(frozen=True)
class Result:
    """What came out of a dialect.

    Attributes:
        dialect: its name.
        wrong: what is wrong; empty if nothing is.
        refusal: the line that refuses it; empty if it was not refused.
    """

    dialect: str
    wrong: str = ""
    refusal: str = ""


class Trials:
    """Trials against the index of the plain catalogue, which is built once.

    Args:
        folder: where to write; must not exist.
        sample: folder of the whole sample catalogue.
        options: of ``beauty-export index``: the models.
    """

    def __init__(self, folder: Path, sample: Path, options: Sequence[object]) -> None:
        folder.mkdir()
        self.folder = folder
        self.rows = plain_rows(sample)
        self._options = options
        self._plain = write_plain(folder / "plain", sample, self.rows)
        self._index = folder / "index"
        built = beauty_export("index", self._plain, "--output", self._index, *options)
        assert built.exit_code == 0, built.stderr
        self._files = index_files(self._index)

    def result(self, dialect: Dialect) -> Result:
        """Write a dialect, build its index beside the plain one, and judge the outcome."""
        with self._written(dialect) as folder:
            root = folder / "index"
            if not self._has_other_ids(dialect):  # an update, which reuses the descriptors
                shutil.copytree(self._index, root)
            before = current_version(root)
            feed = folder / Path(dialect.file).parts[0]
            outcome = beauty_export("index", feed, "--output", root, *self._options)
            if not outcome.exit_code:
                return Result(dialect.name, self._difference(dialect, root))
            refusal = "".join(outcome.error_lines[-1:]).replace(f"{folder}/", "")
            wrong = fault(dialect, outcome, refusal)
            if current_version(root) != before:
                wrong = f"an index was published: {refusal}"
            return Result(dialect.name, wrong, refusal)

    def _has_other_ids(self, dialect: Dialect) -> bool:
        return any(dialect.stored(row)["id"] != row["id"] for row in self.rows)

    @contextmanager
    def _written(self, dialect: Dialect) -> Iterator[Path]:
        """A folder with the feed and its images; it is gone after the trial."""
        with TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            if dialect.image is None:
                (folder / "images").symlink_to(self._plain / "images")
            else:
                for row in self.rows:
                    image = folder / dialect.image(row)
                    image.parent.mkdir(exist_ok=True)
                    image.symlink_to(self._plain / row["image"])
            feed = folder / dialect.file
            feed.parent.mkdir(exist_ok=True)
            feed.write_bytes(dialect.content(self.rows))
            yield folder

    def _difference(self, dialect: Dialect, root: Path) -> str:
        """How the index of a dialect differs from what it should be; empty if it does not."""
        if dialect.refused:
            return "an index was built; expected a refusal"
        bundle = open_index(root)
        if len(bundle) != len(self.rows):
            return f"{len(bundle)} products instead of {len(self.rows)}"
        for number, row in enumerate(self.rows):
            found, wanted = asdict(bundle.product(number)), asdict(product(dialect.stored(row)))
            for name, value in wanted.items():
                if found[name] != value:
                    return f"row {number + 1}: {name} {found[name]!r} instead of {value!r}"
            for name in bundle.columns.names:
                if not says(bundle.columns[name], number, wanted["attributes"].get(name)):
                    return f"row {number + 1}: the column {name!r} says another value"
        files = index_files(root)
        has_brands = all(
            product(dialect.stored(row)).attributes.get(BRAND) == row[BRAND] for row in self.rows
        )
        return ", ".join(
            f"another {name}"
            for name in sorted({*files, *self._files})
            if files.get(name) != self._files.get(name)
            # a brand in a column of another name does not belong to the words
            and (has_brands or not name.startswith("words."))
        )


def beauty_export(*arguments: object) -> Outcome:
    """Run the command in this process; a traceback is part of what it wrote to stderr."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    argv = ["beauty-export", *map(str, arguments)]
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]), patch.object(sys, "argv", argv):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Exception:
            traceback.print_exc()
            code = 1
    texts = [stream.buffer.getvalue().decode() for stream in streams]  # type: ignore[attr-defined]
    return Outcome(code, *texts)


def fault(dialect: Dialect, outcome: Outcome, refusal: str) -> str:
    """What is wrong with a refusal; empty if nothing is."""
    lines = outcome.stderr.splitlines()
    if len(outcome.error_lines) != 1 or lines[-1] not in outcome.error_lines:
        return f"the last line is no error: {lines[-1] if lines else ''}"
    if outcome.exit_code != BAD_INPUT:
        return f"exit status {outcome.exit_code}: {refusal}"
    if not dialect.refused:
        return f"expected the plain catalogue's index: {refusal}"
    if not re.search(dialect.refused, refusal, re.IGNORECASE):
        return f"the line lacks /{dialect.refused}/: {refusal}"
    return ""


def says(column: Column, row: int, text: str | None) -> bool:
    """Whether a column says in a row what a text says; None is a missing value."""
    value = column.values[row]
    if text is None or column.is_missing(value):
        return text is None and bool(column.is_missing(value))
    if column.kind is ColumnKind.TEXT:
        return column.text(value) == text
    return value == (number_of(text) if column.kind is ColumnKind.NUMBER else truth_of(text))


def product(row: Row) -> Product:
    """What an index holds of a row; it stores no empty attribute."""
    attributes = {name: text for name, text in row.items() if text and name not in REQUIRED}
    return Product(row["id"], row["description"], row["image"], attributes)


def current_version(root: Path) -> str:
    """The version that an index folder serves; empty if there is none."""
    file = root / CURRENT_FILE
    return file.read_text(encoding="utf-8") if file.exists() else ""


def index_files(root: Path) -> dict[str, bytes]:
    """The files of an index's current version, less those that hold products and checksums."""
    files = {path.name: path.read_bytes() for path in open_index(root).folder.iterdir()}
    return {name: content for name, content in files.items() if not name.startswith(BY_PRODUCT)}
