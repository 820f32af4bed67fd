"""What the server answers, as plain frozen Python values.

Field by field the messages of ``retrieval.proto``, which holds meanings, units and ranges; this
module decodes them once, so that no protobuf type reaches a caller.
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


_STAGES: Mapping[int, Stage] = {
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

    @classmethod
    def from_message(cls, message: pb.TextEvidence) -> "TextEvidence":
        """Decode the proto message."""
        return cls(message.seed_product_id, message.seed_rank, message.cosine)


@dataclass(frozen=True)
class Match:
    """One product found, with how it came.

    Attributes:
        cosines: cosine of each backbone by model name, in the order of the profile.
        similarity: fused similarity of eq. (8), larger is more similar; not itself a cosine.
        text: set where stage is REFINED.
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

    @classmethod
    def from_message(cls, message: pb.Match) -> "Match":
        """Decode the proto message."""
        return cls(
            rank=message.rank,
            product_id=message.product_id,
            description=message.description,
            image=message.image,
            attributes=dict(message.attributes),
            similarity=message.similarity,
            cosines={cosine.model: cosine.cosine for cosine in message.cosines},
            stage=_STAGES.get(message.stage, Stage.UNKNOWN),
            text=TextEvidence.from_message(message.text) if message.HasField("text") else None,
        )


@dataclass(frozen=True)
class Timings:
    """Wall-clock time of each stage on the server, in microseconds."""

    decode_us: int
    encode_us: int
    rank_us: int
    refine_us: int
    total_us: int

    @classmethod
    def from_message(cls, message: pb.Timings) -> "Timings":
        """Decode the proto message."""
        return cls(
            decode_us=message.decode_us,
            encode_us=message.encode_us,
            rank_us=message.rank_us,
            refine_us=message.refine_us,
            total_us=message.total_us,
        )


@dataclass(frozen=True)
class Model:
    """A backbone with its pooling, as served."""

    name: str
    digest: str
    dimension: int
    alpha: float
    weights: str
    descriptor_bytes: int

    @classmethod
    def from_message(cls, message: pb.Model) -> "Model":
        """Decode the proto message."""
        return cls(
            name=message.name,
            digest=message.digest,
            dimension=message.dimension,
            alpha=message.alpha,
            weights=message.weights,
            descriptor_bytes=message.descriptor_bytes,
        )


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        results: best first, after refinement if it was asked for.
        initial_results: the purely visual ranking that refinement started from.
        subset_size: products in the text neighbourhood that was searched again.
        warnings: what to know before trusting the answer, such as random weights.
    """

    results: tuple[Match, ...]
    initial_results: tuple[Match, ...]
    subset_size: int
    timings: Timings
    index_version: str
    models: tuple[Model, ...]
    warnings: tuple[str, ...]
    request_id: str

    @classmethod
    def from_message(cls, message: pb.SearchResponse) -> "SearchResult":
        """Decode the proto message."""
        return cls(
            results=tuple(map(Match.from_message, message.results)),
            initial_results=tuple(map(Match.from_message, message.initial_results)),
            subset_size=message.subset_size,
            timings=Timings.from_message(message.timings),
            index_version=message.index_version,
            models=tuple(map(Model.from_message, message.models)),
            warnings=tuple(message.warnings),
            request_id=message.request_id,
        )


@dataclass(frozen=True)
class TextIndex:
    """State of the textual index: descriptions covered, neighbour pairs, threshold tau."""

    document_count: int
    pair_count: int
    threshold: float

    @classmethod
    def from_message(cls, message: pb.TextIndex) -> "TextIndex":
        """Decode the proto message."""
        return cls(message.document_count, message.pair_count, message.threshold)


@dataclass(frozen=True)
class SearchLevel:
    """A level of the exact search: its size, and whether it is kept in memory."""

    name: str
    bytes: int
    resident: bool

    @classmethod
    def from_message(cls, message: pb.SearchLevel) -> "SearchLevel":
        """Decode the proto message."""
        return cls(message.name, message.bytes, message.resident)


@dataclass(frozen=True)
class Example:
    """A product of the index; its image is a path relative to the catalogue file."""

    product_id: str
    image: str

    @classmethod
    def from_message(cls, message: pb.Example) -> "Example":
        """Decode the proto message."""
        return cls(message.product_id, message.image)


@dataclass(frozen=True)
class ServerStatus:
    """What the server serves."""

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

    @classmethod
    def from_message(cls, message: pb.GetStatusResponse) -> "ServerStatus":
        """Decode the proto message."""
        return cls(
            server_version=message.server_version,
            engine=message.engine,
            index_version=message.index_version,
            profile=message.profile,
            product_count=message.product_count,
            models=tuple(map(Model.from_message, message.models)),
            text_index=TextIndex.from_message(message.text_index),
            default_top_k=message.default_top_k,
            default_keep=message.default_keep,
            warnings=tuple(message.warnings),
            search_levels=tuple(map(SearchLevel.from_message, message.search_levels)),
            example=Example.from_message(message.example),
        )
