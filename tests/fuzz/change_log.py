"""The log of changes: a segment as a disk may return it, and the content of a change."""

from pathlib import Path

import numpy as np

from retrieval_server.changes.change import Delete, Upsert, decoded, encoded
from retrieval_server.changes.hand_over import COMPACTED_FILE, CompactedVersion, offer, offered
from retrieval_server.changes.log_reader import LogReader
from retrieval_server.changes.log_writer import LogWriter
from retrieval_server.changes.segment import Link, Place, segment_name
from retrieval_server.errors import ChangeLogError
from retrieval_server.index.changes_folder import CHANGES_FOLDER
from retrieval_server.index.product import Product
from tests.fuzz.target import Prepared, Target

VERSION = "tiny-0123456789ab"
SHAPES = ((np.dtype(np.float32), 3), (np.dtype(np.float16), 2))
PRODUCT = Product("p1", "Nuxe huile", "a.jpg", {"brand": "Nuxe"})
ERRORS = (ChangeLogError,)


def _changes() -> list[bytes]:
    descriptors = tuple(np.ones(length, dtype) for dtype, length in SHAPES)
    return [encoded(Upsert(product=PRODUCT, descriptors=descriptors)), encoded(Delete("p2"))]


def _prepare_log(folder: Path) -> Prepared:
    log = folder / "log"
    writer = LogWriter(log, VERSION)
    writer.append(_changes())
    writer.append(_changes()[1:])
    writer.close()
    segment = log / segment_name(1)

    def read(data: bytes) -> None:
        segment.write_bytes(data)
        for change in LogReader(log, VERSION).read():
            decoded(change, SHAPES)

    return Prepared(read, (segment.read_bytes(),))


def _prepare_changes(folder: Path) -> Prepared:
    return Prepared(lambda data: decoded(data, SHAPES), tuple(_changes()))


def _prepare_offer(folder: Path) -> Prepared:
    link = Link(100, 3, 12345, 60)
    (folder / CHANGES_FOLDER).mkdir()
    offer(folder, CompactedVersion("tiny-ba9876543210", VERSION, Place(segment_name(1), link)))
    path = folder / CHANGES_FOLDER / COMPACTED_FILE

    def read(data: bytes) -> None:
        path.write_bytes(data)
        offered(folder)

    return Prepared(read, (path.read_bytes(),))


CHANGES = (
    Target("change log", _prepare_log, ERRORS, longest=1024),
    Target("changes", _prepare_changes, ERRORS, longest=512),
    Target("compacted version", _prepare_offer, ERRORS, longest=512),
)
