"""Which queries get a verdict: those of the kinds that a calibration knows, and no others."""

from __future__ import annotations

from retrieval_server.index.calibration import QueryKind
from retrieval_server.index.searched_index import SearchedIndex
from retrieval_server.reading.reader import Reader
from retrieval_server.serving.calls.photo_words import PhotoWords, text_weight_of
from retrieval_server.text.grams import words_in
from retrieval_server.v1 import retrieval_pb2 as pb

# A request that sets any other field is of another kind, whatever the field means.
FIELDS = frozenset(
    ("image", "top_k", "keep", "refine", "alpha", "words", "read_words", "text_weight")
)


def judged_kind(
    request: pb.SearchRequest,
    words: PhotoWords,
    bundle: SearchedIndex,
    reader: Reader | None,
) -> QueryKind | None:
    """The kind of a request; None if there can be no verdict on it.

    Args:
        request: the request.
        words: what was read on its photo.
        bundle: the index.
        reader: what has read; words that another one has read are another kind of query.
    """
    fields = {field.name for field, _ in request.ListFields()}
    calibration = bundle.calibration
    if calibration is None or "image" not in fields or not fields <= FIELDS:
        return None
    if not text_weight_of(request, bundle.profile):
        return QueryKind.PHOTO  # the words do not count
    read = bool(words_in(" ".join(words.texts)))
    kind = QueryKind.of(typed=bool(words_in(request.words)), read=read)
    if kind.is_read and (reader is None or reader.digest != calibration.reader):
        return None
    return kind
