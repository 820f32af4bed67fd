"""Says what a server serves, as ``GetStatus`` answers."""

from __future__ import annotations

from retrieval_server.serving.calls.activity import ActivitySource
from retrieval_server.serving.calls.limits import limits_message
from retrieval_server.serving.calls.messages import (
    calibration_message,
    column_messages,
    example_message,
    model_messages,
    word_index_message,
)
from retrieval_server.serving.served.change_feed import ChangeFeed
from retrieval_server.serving.served.served_index import ServedIndex
from retrieval_server.serving.settings import Settings
from retrieval_server.v1 import retrieval_pb2 as pb
from retrieval_server.version import VERSION


def status_message(
    served: ServedIndex,
    feed: ChangeFeed,
    activity: ActivitySource,
    settings: Settings,
    *,
    reads_words: bool,
    has_reader: bool,
) -> pb.GetStatusResponse:
    """The status of a server now.

    Args:
        served: holds the index and the engine.
        feed: follows the changes to the index.
        activity: knows what the server has done.
        settings: the server's.
        reads_words: whether the words on photos are read where a request does not say.
        has_reader: whether there is a reader of words.
    """
    retriever = served.retriever
    bundle = retriever.bundle
    manifest = bundle.manifest
    return pb.GetStatusResponse(
        server_version=VERSION,
        engine=retriever.engine.name,
        index_version=bundle.version,
        profile=bundle.profile.name,
        product_count=len(bundle),
        models=model_messages(bundle),
        text_index=pb.TextIndex(
            document_count=manifest.documents,
            pair_count=manifest.text_pairs,
            threshold=manifest.text["threshold"],
        ),
        default_top_k=settings.default_top_k,
        default_keep=settings.default_keep,
        warnings=[
            *manifest.warnings,
            *manifest.text_warnings,
            *manifest.column_warnings,
            *served.warnings,
        ],
        search_levels=[
            pb.SearchLevel(name=level.name, bytes=level.bytes, resident=level.is_resident)
            for level in retriever.search_levels
        ],
        example=example_message(bundle),
        limits=limits_message(settings),
        default_text_weight=bundle.profile.text_weight,
        default_read_words=reads_words,
        reader=(bundle.profile.reader or "") if has_reader else "",
        calibration=calibration_message(bundle.calibration),
        columns=column_messages(bundle.columns),
        word_index=word_index_message(bundle),
        activity=activity.read(bundle.built_at),
        changes=pb.ChangeStatus(
            position=bundle.change_position,
            lag_s=feed.lag_s,
            writable=feed.is_writable,
            pending_count=feed.pending,
            compacting=served.is_compacting,
        ),
    )
