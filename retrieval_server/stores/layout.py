"""How a version of an index lies in Milvus: names, fields, keys and their texts.

===============================  ===================================================================
collection                       content
===============================  ===================================================================
``COLLECTION``                   alias of the documents of the version that is served
``COLLECTION_<digest>``          documents: texts by key, in ASCII
``COLLECTION_<digest>_vectors``  one entity for each row: its vector and what filters compare
``COLLECTION_<digest>_changes``  the log of changes to the version, see ``store_log``
===============================  ===================================================================

``<digest>`` is that of the version's manifest.

========================  ==========================================================================
field of the vectors      content
========================  ==========================================================================
``row``                   the row of the index, the primary key
``vector``                float32, the descriptors of all backbones side by side
``value_<n>``             the row's value in column n: a digest of the text, empty where it is
                          missing; a number, 0 where it is missing; for a truth value 0, 1, or 2
                          where it is missing
``missing_<n>``           of a column of numbers: 1 where the number is missing, else 0
========================  ==========================================================================

A text is stored as a digest, so that no text of a catalogue is too long for a field, or has to be
quoted in an expression.

========================  ==========================================================================
key of a document         text
========================  ==========================================================================
``index``                 JSON, see ``StoredRecord``; written last: without it nothing is served
``file/<name>``           base64 of a small file of the version, such as its manifest
``piece/<name>/<n>``      base64 of a piece of a file of the words, see ``text.word_search``, or of
                          the vectors of the descriptions, see ``text.term_files``
``product/<row>``         JSON: id, description, image, attributes
``row/<digest>``          the row of the product whose id has this SHA-256
``neighbours/<row>``      JSON: the rows of D(row), and their cosines as the index stores them
``read/<row>``            what was read on the image, see ``text.read_text``; if it was read
``texts/<n>``             JSON: the texts of column n, where they are few
``loaded/<batch>``        SHA-256 of a batch of rows, or of a file in pieces, that is complete
========================  ==========================================================================

========================  ==========================================================================
key of the log            text
========================  ==========================================================================
``claim/<ballot>``        who has claimed to write the log; the field ``first`` is ``CLAIM_PLACE``
``frame/<first>/<ballot>``  base64 of a frame, divided like a document; ``first`` is the position of
                          its first change
========================  ==========================================================================

Milvus limits a text to 65,535 bytes, so a document is one entity or several. The text of the first
begins with their number and a space; the key of a further one ends with ``#<number>``. Milvus wants
a vector in every collection; that of a document says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from retrieval_server.errors import StoreError

LAYOUT = 3  # of these tables
PART_CHARACTERS = 60_000  # of a document's text in one entity
PIECE_BYTES = PART_CHARACTERS // 4 * 3  # of a file of the words, so that each piece is one entity
DIGEST_CHARACTERS = 32  # of a text of a column: 128 bits
FEW_TEXTS = 100  # different texts of a column, up to which they are stored as a document
INDEX_KEY = "index"
RELOAD = "Load the index again with: beauty-export load"

KEY, TEXT, ROW, VECTOR, FIRST = "key", "text", "row", "vector", "first"
CLAIM_PLACE = -1  # in place of a position
LONGEST_KEY, LONGEST_TEXT = 128, 65_535
NO_VECTOR = [0.0, 0.0]


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """What the document ``index`` says.

    Attributes:
        layout: version of this layout.
        version: the version of the index.
        vectors: name of the collection with the vectors.
        changes: name of the collection with the changes.
        rows: number of rows.
        dtypes: by backbone, the type of the descriptors in the index, such as ``<f2``.
        built_at: when the index was built, in seconds since 1970.
        rectified: by backbone, whether no descriptor has a negative value.
        files: names of the small files.
    """

    layout: int
    version: str
    vectors: str
    changes: str
    rows: int
    dtypes: tuple[str, ...]
    built_at: float
    rectified: tuple[bool, ...]
    files: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """This record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], place: str) -> StoredRecord:
        """Read what ``to_json`` wrote.

        Args:
            data: the JSON values.
            place: where they come from, for the message.

        Raises:
            StoreError: if they are of another layout.
        """
        if data.get("layout") != LAYOUT:
            raise StoreError(
                f"{place} has layout {data.get('layout')}, this program reads {LAYOUT}. {RELOAD}"
            )
        tuples = {name: tuple(data[name]) for name in ("rectified", "files", "dtypes")}
        return cls(**{**data, **tuples})


def documents_of(collection: str, version: str) -> str:
    """Name of the collection with the documents of a version."""
    return f"{collection}_{version.rpartition('-')[2]}"


def vectors_of(collection: str, version: str) -> str:
    """Name of the collection with the vectors of a version."""
    return f"{documents_of(collection, version)}_vectors"


def changes_of(collection: str, version: str) -> str:
    """Name of the collection with the changes to a version."""
    return f"{documents_of(collection, version)}_changes"


def value_field(number: int) -> str:
    """The field with the values of a column."""
    return f"value_{number}"


def missing_field(number: int) -> str:
    """The field that says which numbers of a column are missing."""
    return f"missing_{number}"


def file_key(name: str) -> str:
    """Key of a small file of the version."""
    return f"file/{name}"


def product_key(row: int) -> str:
    """Key of what the catalogue says of a product."""
    return f"product/{row}"


def row_key(product_id: str) -> str:
    """Key of the row of a product id."""
    return f"row/{hashlib.sha256(_bytes(product_id)).hexdigest()}"


def neighbours_key(row: int) -> str:
    """Key of D(row)."""
    return f"neighbours/{row}"


def texts_key(number: int) -> str:
    """Key of the texts of a column."""
    return f"texts/{number}"


def read_key(row: int) -> str:
    """Key of what was read on the image of a row."""
    return f"read/{row}"


def piece_key(name: str, number: int | str) -> str:
    """Key of a piece of a file that is too large for a document."""
    return f"piece/{name}/{number}"


def pieces_of(size: int) -> range:
    """The numbers of the pieces of a file of some bytes."""
    return range(-(-size // PIECE_BYTES))


def batch_key(batch: int | str) -> str:
    """Key that marks a batch of rows as complete."""
    return f"loaded/{batch}"


def pieces_key(name: str) -> str:
    """Key that marks a file in pieces as complete."""
    return batch_key(piece_key(name, "all"))


def text_digest(text: str) -> str:
    """What the vectors' collection has for a text of a column: 128 bits, hexadecimal."""
    return hashlib.sha256(_bytes(text)).hexdigest()[:DIGEST_CHARACTERS]


def parts_of(key: str, text: str) -> Iterator[tuple[str, str]]:
    """Divide a document into entities.

    Args:
        key: its key.
        text: its text, in ASCII.

    Yields:
        Key and text of each entity.
    """
    count = max(1, -(-len(text) // PART_CHARACTERS))
    for number in range(count):
        piece = text[number * PART_CHARACTERS : (number + 1) * PART_CHARACTERS]
        yield (key, f"{count} {piece}") if number == 0 else (part_key(key, number), piece)


def part_key(key: str, number: int) -> str:
    """Key of a further entity of a document, from 1."""
    return f"{key}#{number}"


def is_part(key: str) -> bool:
    """Whether a key is that of a further entity."""
    return "#" in key


def claim_key(ballot: str) -> str:
    """Key of a claim to write the log."""
    return f"claim/{ballot}"


def read_claim_key(key: str) -> str:
    """The ballot of a claim."""
    return key.removeprefix("claim/")


def frame_key(first: int, ballot: str) -> str:
    """Key of a frame of the log."""
    return f"frame/{first}/{ballot}"


def read_frame_key(key: str) -> tuple[int, str]:
    """The first position and the ballot of a frame, from the key of any of its entities."""
    _, first, ballot = key.partition("#")[0].split("/")
    return int(first), ballot


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
