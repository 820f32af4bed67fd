"""The limits of a request, in one list: what ``GetStatus`` tells, and what docs/limits.md explains.

Each value has its owner, which enforces it; here is only what a caller must know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from retrieval_server.changes.checks import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_ID_CHARACTERS,
    MAX_VALUE_CHARACTERS,
)
from retrieval_server.filters.expression import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES
from retrieval_server.models.image_file import MAX_PIXELS, MAX_SIDE
from retrieval_server.models.profile import MAX_ALPHA, MAX_TEXT_WEIGHT
from retrieval_server.retrieval.search_request import MAX_TOP_K
from retrieval_server.retrieval.several_photos import MAX_PHOTOS
from retrieval_server.serving.calls.filter_messages import MAX_EXCLUDED_IDS, MAX_GROUP_BY_CHARACTERS
from retrieval_server.serving.calls.products import MAX_PRODUCT_IDS
from retrieval_server.serving.calls.upsert_stream import MOST_IN_PREPARATION, MOST_IN_PROGRESS
from retrieval_server.serving.grpc_endpoint import MAX_METADATA_BYTES
from retrieval_server.serving.settings import Settings
from retrieval_server.text.word_search import MAX_WORDS_CHARACTERS
from retrieval_server.v1 import retrieval_pb2 as pb


class Beyond(Enum):
    """What happens to what is beyond a limit."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"  # it can never be answered
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"  # the server has no place for it
    WAITS = "waits"


@dataclass(frozen=True)
class Limit:
    """A limit.

    Attributes:
        name: of the field in the message ``Limits``.
        value: of a server, by its settings.
        beyond: what happens to what is beyond it.
    """

    name: str
    value: Callable[[Settings], float]
    beyond: Beyond = Beyond.INVALID_ARGUMENT


def _always(value: float) -> Callable[[Settings], float]:
    return lambda settings: value


LIMITS = (
    Limit("max_image_bytes", lambda settings: settings.max_image_bytes),
    Limit("max_image_pixels", _always(MAX_PIXELS)),
    Limit("max_image_side", _always(MAX_SIDE)),
    Limit("max_photos", _always(MAX_PHOTOS)),
    Limit("max_decoding_bytes", lambda settings: settings.max_decoding_bytes, Beyond.WAITS),
    Limit(
        "max_request_bytes",
        lambda settings: settings.max_request_bytes,
        Beyond.RESOURCE_EXHAUSTED,
    ),
    Limit("max_metadata_bytes", _always(MAX_METADATA_BYTES), Beyond.RESOURCE_EXHAUSTED),
    Limit(
        "max_concurrent_requests",
        lambda settings: settings.max_concurrent_requests,
        Beyond.RESOURCE_EXHAUSTED,
    ),
    Limit("max_streams", lambda settings: settings.max_streams, Beyond.RESOURCE_EXHAUSTED),
    Limit("max_stream_requests", lambda settings: settings.max_stream_requests, Beyond.WAITS),
    Limit("max_stream_upserts", _always(MOST_IN_PROGRESS), Beyond.WAITS),
    Limit("max_upsert_images", _always(MOST_IN_PREPARATION), Beyond.WAITS),
    Limit("max_id_characters", _always(MAX_ID_CHARACTERS)),
    Limit("max_description_characters", _always(MAX_DESCRIPTION_CHARACTERS)),
    Limit("max_value_characters", _always(MAX_VALUE_CHARACTERS)),
    Limit("max_top_k", _always(MAX_TOP_K)),
    Limit("max_alpha", _always(MAX_ALPHA)),
    Limit("max_text_weight", _always(MAX_TEXT_WEIGHT)),
    Limit("max_words_characters", _always(MAX_WORDS_CHARACTERS)),
    Limit("max_product_ids", _always(MAX_PRODUCT_IDS)),
    Limit("max_exclude_ids", _always(MAX_EXCLUDED_IDS)),
    Limit("max_filter_depth", _always(MAX_DEPTH)),
    Limit("max_filter_conditions", _always(MAX_CONDITIONS)),
    Limit("max_filter_values", _always(MAX_VALUES)),
    Limit("max_group_by_characters", _always(MAX_GROUP_BY_CHARACTERS)),
)


def limits_message(settings: Settings) -> pb.Limits:
    """The largest requests that the server accepts."""
    message = pb.Limits()
    for limit in LIMITS:
        setattr(message, limit.name, limit.value(settings))
    return message
