"""Makes the messages of the protocol from an index, its matches and the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from retrieval_server.attributes.columns import Column, Columns
from retrieval_server.attributes.values import ColumnKind
from retrieval_server.exact_search.proof import Guarantee, Proof
from retrieval_server.index.calibration import Calibration, Quality
from retrieval_server.index.product import Product
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.retrieval.search_result import Match, Stage, TextEvidence, WordsEvidence
from retrieval_server.serving.calls.photo_words import PhotoLine
from retrieval_server.text.word_search import DESCRIPTION, IMAGE
from retrieval_server.v1 import retrieval_pb2 as pb

RETRY_PUSHBACK = "grpc-retry-pushback-ms"  # as gRPC's own retries read it
MAX_LISTED_VALUES = 12  # of a column of texts, in the server's status
MAX_LISTED_CHARACTERS = 100  # of one of these

_STAGES = {
    Stage.INITIAL: pb.STAGE_INITIAL,
    Stage.REFINED: pb.STAGE_REFINED,
    Stage.FILLED: pb.STAGE_FILLED,
}
_KINDS = {
    ColumnKind.TEXT: pb.COLUMN_KIND_TEXT,
    ColumnKind.NUMBER: pb.COLUMN_KIND_NUMBER,
    ColumnKind.TRUTH: pb.COLUMN_KIND_TRUTH,
}
_GUARANTEES = {
    Guarantee.EXACT: pb.GUARANTEE_EXACT,
    Guarantee.EXACT_FOR_LIST: pb.GUARANTEE_EXACT_FOR_LIST,
    Guarantee.NONE: pb.GUARANTEE_NONE,
}


def model_messages(bundle: SearchedIndex) -> list[pb.Model]:
    """Describe the backbones of an index, in the order of its profile."""
    return [
        pb.Model(
            name=backbone.model,
            digest=bundle.manifest.models[backbone.model].digest,
            dimension=bundle.manifest.models[backbone.model].dimension,
            alpha=backbone.alpha,
            weights=bundle.manifest.models[backbone.model].weights,
            descriptor_bytes=descriptor_bytes,
        )
        for backbone, descriptor_bytes in zip(
            bundle.profile.backbones, bundle.descriptor_bytes, strict=True
        )
    ]


def example_message(bundle: SearchedIndex) -> pb.Example | None:
    """A product for a smoke test: of those with the same image, the first is ranked first."""
    first = bundle.first_product
    return None if first is None else pb.Example(product_id=first.product_id, image=first.image)


def column_messages(columns: Columns) -> list[pb.CatalogueColumn]:
    """Describe the columns of an index, in their order."""
    return [
        pb.CatalogueColumn(
            name=column.name,
            kind=_KINDS[column.kind],
            distinct_count=column.distinct,
            missing_count=column.missing_count,
            values=_few_texts(column),
        )
        for column in (columns[name] for name in columns.names)
    ]


def _few_texts(column: Column) -> list[str]:
    """The texts of a column, where a person can choose among them."""
    if column.kind is not ColumnKind.TEXT or column.distinct > MAX_LISTED_VALUES:
        return []
    texts = [column.text(code) for code in range(column.distinct)]
    return texts if max(map(len, texts), default=0) <= MAX_LISTED_CHARACTERS else []


def read_line_message(read: PhotoLine) -> pb.ReadLine:
    """A line that was read on a photo."""
    return pb.ReadLine(
        text=read.line.text,
        confidence=read.line.confidence,
        photo=read.photo,
        corners=[pb.Point(x=x, y=y) for x, y in read.line.corners],
    )


def word_index_message(bundle: SearchedIndex) -> pb.WordIndex:
    """The texts of an index that words are compared with."""
    words = bundle.manifest.words
    images = words.fields.get(IMAGE)
    return pb.WordIndex(
        columns=words.columns,
        text_count=words.fields[DESCRIPTION].texts,
        reader=(bundle.profile.reader or "") if words.reader else "",
        reader_digest=words.reader,
        read_image_count=0 if images is None else images.texts,
    )


def calibration_message(calibration: Calibration | None) -> pb.Calibration | None:
    """What the probabilities of an answer come from; None without a calibration."""
    if calibration is None:
        return None
    return pb.Calibration(
        product_count=calibration.products,
        kinds=[
            pb.CalibratedKind(
                name=kind,
                query_count=models.queries,
                in_catalogue=_quality(models.in_catalogue_quality),
                confidence=_quality(models.match_quality),
            )
            for kind, models in calibration.kinds.items()
        ],
    )


def _quality(quality: Quality) -> pb.Quality:
    auroc_low, auroc_high = quality.auroc_interval
    return pb.Quality(
        auroc=quality.auroc,
        auroc_low=auroc_low,
        auroc_high=auroc_high,
        brier=quality.brier,
        base_brier=quality.base_brier,
        calibration_error=quality.calibration_error,
    )


@lru_cache(maxsize=64)  # a busy server says the same to very many
def retry_metadata(message: str, retry_after_s: float) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a refusal: when to try again.

    ``grpc-status-details-bin`` has it as ``google.rpc.RetryInfo``, for programs; gRPC's own retries
    follow ``grpc-retry-pushback-ms``, where a client asks for retries at RESOURCE_EXHAUSTED.

    Args:
        message: the details of the status.
        retry_after_s: seconds after which another try makes sense.
    """
    delay = Duration()
    delay.FromMilliseconds(round(retry_after_s * 1000))
    detail = Any()
    detail.Pack(RetryInfo(retry_delay=delay))
    code: int = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    status = Status(code=code, message=message, details=[detail])
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        (RETRY_PUSHBACK, str(delay.ToMilliseconds())),
    )


def match_messages(bundle: SearchedIndex, matches: Iterable[Match]) -> list[pb.Match]:
    """The matches in their order, each with the catalogue's fields of its product."""
    matches = list(matches)
    rows = {match.row for match in matches}
    rows |= {match.text.seed_row for match in matches if match.text is not None}
    products = bundle.products(rows)
    return [_match(bundle, products, rank, match) for rank, match in enumerate(matches, start=1)]


def _match(
    bundle: SearchedIndex, products: Mapping[int, Product], rank: int, match: Match
) -> pb.Match:
    product = products[match.row]
    return pb.Match(
        rank=rank,
        product_id=product.product_id,
        description=product.description,
        image=product.image,
        attributes=product.attributes,
        similarity=match.similarity,
        cosines=[
            pb.BackboneCosine(model=model, cosine=cosine)
            for model, cosine in zip(
                bundle.profile.models,
                match.cosines,
                strict=bool(match.cosines),  # none without an image
            )
        ],
        stage=_STAGES[match.stage],
        text=_evidence(products, match.text),
        words=_words(match.words),
        confidence=match.confidence,
        group_size=match.group_size,
    )


def _evidence(
    products: Mapping[int, Product], evidence: TextEvidence | None
) -> pb.TextEvidence | None:
    if evidence is None:
        return None
    return pb.TextEvidence(
        seed_product_id=products[evidence.seed_row].product_id,
        seed_rank=evidence.seed_rank,
        cosine=evidence.cosine,
    )


def proof_message(proof: Proof | None) -> pb.Proof | None:
    """What is proved of an answer; None for one that is exact by itself."""
    if proof is None:
        return None
    return pb.Proof(
        guarantee=_GUARANTEES[proof.guarantee],
        candidate_count=proof.candidates,
        reason=proof.reason,
    )


def unproved_warning(proof: Proof | None) -> str:
    """A warning that products may be missing in an answer; empty if there is none."""
    if proof is None or proof.guarantee is not Guarantee.NONE:
        return ""
    return f"Products may be missing: {proof.reason}"


def _words(evidence: WordsEvidence | None) -> pb.WordsEvidence | None:
    if evidence is None:
        return None
    return pb.WordsEvidence(
        cosine=evidence.cosine,
        matched=[pb.MatchedWord(word=each.word, share=each.share) for each in evidence.matched],
    )
