"""The readers of catalogues and ground truths, one target for each format."""

from collections.abc import Callable
from pathlib import Path

from export.dataset.catalogue import read_catalogue
from export.ground_truth.true_matches import true_matches
from retrieval_server.errors import CatalogueError
from tests.fuzz.target import Prepared, Target
from tests.support.export.catalogue_files import CHALLENGE, CSV, JSONL, MATCHES, parquet

SEPARATED = (
    CSV,
    CSV.replace(b",", b"\t"),
    b"\xef\xbb\xbfsep=;\r\n" + CSV.replace(b",", b";").replace(b"\n", b"\r\n"),
    CSV.decode().encode("utf-16"),
    b"product,images,description,price\nP1,a.jpg|b.jpg,x,1\n\nP2,c.jpg,<b>y</b>&amp;,2\n",
)
LINES = (
    JSONL,
    b'\xef\xbb\xbf{"product": "P1", "images": ["a.jpg", "b.jpg"], "description": null}\n',
    b'{"id": 1, "image": {"path": "a.jpg"}, "description": "x", "n": 1e400, "m": true}\n',
)


def _catalogue(path: Path) -> None:
    rows = read_catalogue(path).rows
    assert rows
    assert all(row.product_id and row.image for row in rows)


def _reading(
    suffix: str, seeds: tuple[bytes, ...], read: Callable[[Path], object] = _catalogue
) -> Callable[[Path], Prepared]:
    """Prepare to read files with a suffix; an error has to name the file."""

    def prepare(folder: Path) -> Prepared:
        path = folder / f"any{suffix}"

        def read_bytes(data: bytes) -> None:
            path.write_bytes(data)
            try:
                read(path)
            except CatalogueError as error:
                refusal = error
            else:
                return
            assert str(path) in str(refusal), f"it does not name the file: {refusal}"
            raise refusal

        return Prepared(read_bytes, seeds)

    return prepare


ERRORS = (CatalogueError,)
CATALOGUES = (
    Target("csv", _reading(".csv", SEPARATED), ERRORS, longest=512),
    Target("jsonl", _reading(".jsonl", LINES), ERRORS, longest=512),
    Target("parquet", _reading(".parquet", (parquet(),)), ERRORS, cost=3),
    Target(
        "ground truth",
        _reading(".csv", (MATCHES, CHALLENGE), lambda path: list(true_matches(path))),
        ERRORS,
        longest=512,
    ),
)
