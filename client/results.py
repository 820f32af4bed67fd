"""What the server answers to a search, as plain frozen Python values.

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


class Guarantee(StrEnum):
    """What is proved of a ranking whose candidates another engine has found."""

    EXACT = "exact"
    EXACT_FOR_LIST = "exact_for_list"
    NONE = "none"
    UNKNOWN = "unknown"  # one that a newer server knows and this client does not

    @classmethod
    def _missing_(cls, value: object) -> "Guarantee":
        """The guarantee of a number of the protocol."""
        return _GUARANTEES.get(value, cls.UNKNOWN)


_GUARANTEES: Mapping[object, Guarantee] = {
    pb.GUARANTEE_EXACT: Guarantee.EXACT,
    pb.GUARANTEE_EXACT_FOR_LIST: Guarantee.EXACT_FOR_LIST,
    pb.GUARANTEE_NONE: Guarantee.NONE,
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
        confidence: probability that the product is what the photo shows; None where the index is
            not calibrated for such a query.
        group_size: number of images of its group that may be found, itself included; None without
            groups.
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
    confidence: float | None
    group_size: int | None


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
class Proof:
    """What is proved of the initial ranking, from how many candidates, and why not more."""

    guarantee: Guarantee
    candidate_count: int
    reason: str


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        results: best first, after refinement if it was asked for.
        initial_results: the purely visual ranking that refinement started from.
        subset_size: products in the text neighbourhood that was searched again.
        searched_count: products that may be found, by the filter and the excluded ids; with groups
            it counts images.
        warnings: what to know before trusting the answer, such as random weights.
        read_lines: what was read on the photos, and counted as words.
        in_catalogue_probability: probability that the index has what the photo shows, found or
            not; None where the index is not calibrated for such a query.
        proof: what is proved where the index is in a store; None for one in files, whose answers
            are exact.
        change_position: the last change that the search saw, see docs/changes.md.
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
    in_catalogue_probability: float | None
    proof: Proof | None
    change_position: int


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
    change_position: int
