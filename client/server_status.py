"""What the server says of itself, as plain frozen Python values; see ``results``."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from client.results import Model
from retrieval_server.v1 import retrieval_pb2 as pb

PRODUCT_COLUMN = "product"  # as the protocol names it: images of a product have the same value


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
    """A further column of the catalogue: what its values are, and in how many products.

    Attributes:
        name: the catalogue's name of the column.
        kind: what its values are.
        distinct_count: number of different values.
        missing_count: number of products without a value.
        values: its texts, if it has so few that a person can choose among them; else empty.
    """

    name: str
    kind: ColumnKind
    distinct_count: int
    missing_count: int
    values: tuple[str, ...]


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
        max_group_by_characters: length of the name of a column to group by; 0 from a server that
            ignores it.
        max_streams: streams open at once, of all clients together; 0 from a server that
            has none.
        max_stream_requests: requests of one stream in progress at once.
        max_image_side: width, and height, of an image in pixels; 0 from a server that does not say.
        max_decoding_bytes: memory that large images share while they are decoded; 0 from a server
            that does not limit it.
        max_metadata_bytes: size of a request's metadata; 0 from a server that does not say.
        max_stream_upserts: upserts of one stream in progress at once; 0 from a server that has no
            upserts, as for the four that follow.
        max_upsert_images: upserts whose image is being described at once.
        max_id_characters: length of the id of an upsert.
        max_description_characters: length of the description of an upsert.
        max_value_characters: length of each further value of an upsert.
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
    max_group_by_characters: int
    max_streams: int
    max_stream_requests: int
    max_image_side: int
    max_decoding_bytes: int
    max_metadata_bytes: int
    max_stream_upserts: int
    max_upsert_images: int
    max_id_characters: int
    max_description_characters: int
    max_value_characters: int


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
class Quality:
    """How good probabilities are, on queries that took no part in the fit.

    Attributes:
        auroc: probability that a true case gets a higher value than a false one, with its 95 %
            interval; 0.5 is chance.
        brier: mean squared error; ``base_brier`` is that of the base rate alone.
        calibration_error: mean distance of predicted probability and observed share.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    brier: float
    base_brier: float
    calibration_error: float


@dataclass(frozen=True)
class CalibratedKind:
    """A kind of query that gets probabilities, such as "photo with read words"."""

    name: str
    query_count: int
    in_catalogue: Quality
    confidence: Quality


@dataclass(frozen=True)
class Calibration:
    """What the probabilities of an answer come from; measured on ``product_count`` products."""

    product_count: int
    kinds: tuple[CalibratedKind, ...]


@dataclass(frozen=True)
class Times:
    """How long something took, as a histogram.

    Attributes:
        name: what took the time: "search", or a stage such as "decode".
        bounds_s: upper ends of the classes in seconds, ascending; the last class has none.
        counts: number of times in each class; empty if nothing took any time yet.
        total_s: sum of all times in seconds.
    """

    name: str
    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    total_s: float


@dataclass(frozen=True)
class Activity:
    """What the server has done since it started.

    Attributes:
        uptime_s: seconds since then.
        answered_count: searches that were answered.
        failed_count: searches that ended with an error, those refused among them.
        refused_count: requests that were refused, since the server was busy.
        in_progress: searches in progress.
        times: of searches from arrival to answer, and of their stages.
        index_age_s: seconds since the index was built.
    """

    uptime_s: float
    answered_count: int
    failed_count: int
    refused_count: int
    in_progress: int
    times: tuple[Times, ...]
    index_age_s: float


@dataclass(frozen=True)
class ChangeStatus:
    """The changes to the index that searches see.

    Attributes:
        position: of the last one in the log.
        lag_s: for how many seconds there have been others that searches do not see.
        writable: whether the server takes changes.
        pending_count: how many the version of the index does not have; 0 from a server that is
            older than this field.
        compacting: whether the server is taking them into the next version.
    """

    position: int
    lag_s: float
    writable: bool
    pending_count: int
    compacting: bool


@dataclass(frozen=True)
class ServerStatus:
    """What the server serves.

    Attributes:
        limits: None if the server is too old to report them.
        reader: what reads the words on photos, such as "ppocr"; empty if nothing does.
        columns: the further columns of the catalogue, in its order.
        calibration: None for an index without.
        word_index: None if the server is too old to report it.
        activity: None if the server is too old to report it.
        changes: likewise.
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
    calibration: Calibration | None
    word_index: WordIndex | None
    activity: Activity | None
    changes: ChangeStatus | None
