"""What the server answers, as plain frozen Python values.

Field by field the messages of ``retrieval.proto``, which holds meanings, units and ranges.
``decoding`` makes the values from the messages, so that no protobuf type reaches a caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from retrieval_server.v1 import retrieval_pb2 as pb


class Stage(StrEnum):
    """Where in Algorithm 1 a match comes from."""

    INITIAL = "initial"
    REFINED = "refined"
    FILLED = "filled"
    UNKNOWN = "unknown"  # a stage that a newer server knows and this client does not

    @classmethod
    def _missing_(cls, value: object) -> "Stage":
        """The stage of a number of the protocol."""
        return _STAGES.get(value, cls.UNKNOWN)


_STAGES: Mapping[object, Stage] = {
    pb.STAGE_INITIAL: Stage.INITIAL,
    pb.STAGE_REFINED: Stage.REFINED,
    pb.STAGE_FILLED: Stage.FILLED,
}


@dataclass(frozen=True)
class TextEvidence:
    """The kept product whose text neighbour a refined match is."""

    seed_product_id: str
    seed_rank: int
    cosine: float


@dataclass(frozen=True)
class MatchedWord:
    """A word of a product, and how many of its n-grams the query has; 1 for the same word."""

    word: str
    share: float


@dataclass(frozen=True)
class WordsEvidence:
    """How similar the query's words are to the product's text, and its words that resemble them."""

    cosine: float
    matched: tuple[MatchedWord, ...]


@dataclass(frozen=True)
class Match:
    """One product found, with how it came.

    Attributes:
        cosines: cosine of each backbone by model name, in the order of the profile; empty for a
            search by words alone.
        similarity: fused similarity of eq. (8), with the factor of the words if there are any;
            larger is more similar; not itself a cosine.
        text: set where stage is REFINED.
        words: set where the words of the query count.
    """

    rank: int
    product_id: str
    description: str
    image: str
    attributes: dict[str, str]
    similarity: float
    cosines: dict[str, float]
    stage: Stage
    text: TextEvidence | None
    words: WordsEvidence | None


@dataclass(frozen=True)
class Timings:
    """Wall-clock time of each stage on the server, in microseconds."""

    decode_us: int
    encode_us: int
    rank_us: int
    refine_us: int
    total_us: int
    read_us: int


@dataclass(frozen=True)
class Point:
    """A point on a photo, in pixels of the upright image from its top left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class ReadLine:
    """A line of text that was read on a photo of the query.

    Attributes:
        text: the characters.
        confidence: mean probability of the characters, from 0.5 to 1.
        photo: number of the photo; 0 is the first.
        corners: of its box, clockwise from the top left of the text.
    """

    text: str
    confidence: float
    photo: int
    corners: tuple[Point, ...]


@dataclass(frozen=True)
class Model:
    """A backbone with its pooling, as served."""

    name: str
    digest: str
    dimension: int
    alpha: float
    weights: str
    descriptor_bytes: int


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        results: best first, after refinement if it was asked for.
        initial_results: the purely visual ranking that refinement started from.
        subset_size: products in the text neighbourhood that was searched again.
        searched_count: products that may be found, by the filter and the excluded ids.
        warnings: what to know before trusting the answer, such as random weights.
        read_lines: what was read on the photos, and counted as words.
    """

    results: tuple[Match, ...]
    initial_results: tuple[Match, ...]
    subset_size: int
    searched_count: int
    timings: Timings
    index_version: str
    models: tuple[Model, ...]
    warnings: tuple[str, ...]
    request_id: str
    read_lines: tuple[ReadLine, ...]


@dataclass(frozen=True)
class Product:
    """What the catalogue says of a product; attributes are its further columns, verbatim."""

    product_id: str
    description: str
    image: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class FoundProducts:
    """The products of some ids, in their order, and the ids that are not in the index."""

    products: tuple[Product, ...]
    missing_ids: tuple[str, ...]
    index_version: str
    request_id: str


class ColumnKind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    UNKNOWN = "unknown"  # a kind that a newer server knows and this client does not

    @classmethod
    def _missing_(cls, value: object) -> "ColumnKind":
        """The kind of a number of the protocol."""
        return _COLUMN_KINDS.get(value, cls.UNKNOWN)


_COLUMN_KINDS: Mapping[object, ColumnKind] = {
    pb.COLUMN_KIND_TEXT: ColumnKind.TEXT,
    pb.COLUMN_KIND_NUMBER: ColumnKind.NUMBER,
    pb.COLUMN_KIND_TRUTH: ColumnKind.TRUTH,
}


@dataclass(frozen=True)
class CatalogueColumn:
    """A further column of the catalogue: what its values are, and in how many products."""

    name: str
    kind: ColumnKind
    distinct_count: int
    missing_count: int


@dataclass(frozen=True)
class TextIndex:
    """State of the textual index: descriptions covered, neighbour pairs, threshold tau."""

    document_count: int
    pair_count: int
    threshold: float


@dataclass(frozen=True)
class SearchLevel:
    """A level of the exact search: its size, and whether it is kept in memory."""

    name: str
    bytes: int
    resident: bool


@dataclass(frozen=True)
class Example:
    """A product of the index; its image is a path relative to the catalogue file."""

    product_id: str
    image: str


@dataclass(frozen=True)
class Limits:
    """The largest requests that the server accepts; it refuses what is above.

    Attributes:
        max_image_bytes: size of an encoded image in bytes.
        max_request_bytes: size of a whole request in bytes.
        max_top_k: number of results, and the paper's k.
        max_alpha: strength of a backbone in eq. (8).
        max_concurrent_requests: searches in progress at once, of all clients together.
        max_image_pixels: width times height of an image.
        max_words_characters: length of the words; 0 from a server that knows no words.
        max_text_weight: strength of the words.
        max_photos: photos of one search; 0 from a server that takes one.
        max_product_ids: products asked for at once; 0 from a server that gives none by id.
        max_exclude_ids: excluded products; 0 from a server that ignores them.
        max_filter_depth: filters in one another; 0 from a server that ignores filters.
        max_filter_conditions: conditions of a filter.
        max_filter_values: values in all conditions of a filter.
    """

    max_image_bytes: int
    max_request_bytes: int
    max_top_k: int
    max_alpha: float
    max_concurrent_requests: int
    max_image_pixels: int
    max_words_characters: int
    max_text_weight: float
    max_photos: int
    max_product_ids: int
    max_exclude_ids: int
    max_filter_depth: int
    max_filter_conditions: int
    max_filter_values: int


@dataclass(frozen=True)
class WordIndex:
    """The texts of the products that the words of a query are compared with.

    Attributes:
        columns: columns of the catalogue that count as text beside the description.
        text_count: number of products with words in the description or in one of these columns.
        reader: what has read the catalogue's images, such as "ppocr"; empty if nothing has.
        reader_digest: SHA-256 of this reader's models and rules; empty without a reader.
        read_image_count: number of products with words on the image.
    """

    columns: tuple[str, ...]
    text_count: int
    reader: str
    reader_digest: str
    read_image_count: int


@dataclass(frozen=True)
class ServerStatus:
    """What the server serves.

    Attributes:
        limits: None if the server is too old to report them.
        reader: what reads the words on photos, such as "ppocr"; empty if nothing does.
        columns: the further columns of the catalogue, in its order.
        word_index: None if the server is too old to report it.
    """

    server_version: str
    engine: str
    index_version: str
    profile: str
    product_count: int
    models: tuple[Model, ...]
    text_index: TextIndex
    default_top_k: int
    default_keep: int
    warnings: tuple[str, ...]
    search_levels: tuple[SearchLevel, ...]
    example: Example
    limits: Limits | None
    default_text_weight: float
    default_read_words: bool
    reader: str
    columns: tuple[CatalogueColumn, ...]
    word_index: WordIndex | None
