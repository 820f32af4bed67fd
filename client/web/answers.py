"""The answers to the page: results as JSON, and errors in plain words with what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from client.errors import (
    DeadlineExceededError,
    InvalidQueryError,
    OverloadedError,
    ProductNotFoundError,
    RetrievalError,
    TooLargeError,
    UnavailableError,
    UnreadableFileError,
)
from client.results import SearchResult
from client.server_status import PRODUCT_COLUMN, CatalogueColumn, ColumnKind, Limits, ServerStatus
from client.verdict import verdict
from retrieval_server.command_line.image_files import SUFFIXES

COLUMNS_WITH_CONTROLS = 4  # more would hide the settings below them


@dataclass(frozen=True)
class Problem:
    """An error as the page shows it.

    Attributes:
        status: HTTP status code.
        kind: tells the page what to do; at ``unavailable`` it polls until the server is back.
        title: what happened.
        advice: what the person can do.
        details: the error message of the program, for an operator.
    """

    status: int
    kind: str
    title: str
    advice: str
    details: str = ""

    def to_json(self) -> dict[str, Any]:
        """The problem as plain JSON values."""
        return asdict(self)


_UNAVAILABLE = (
    503,
    "unavailable",
    "The search server does not answer.",
    "It may be starting, or stopped. Nothing is lost: the search goes on when it is back.",
)
_WORDS: Mapping[type[RetrievalError], tuple[int, str, str, str]] = {
    UnavailableError: _UNAVAILABLE,
    ProductNotFoundError: (
        404,
        "gone",
        "This product is not in the index any more.",
        "The server has another index by now. Search with a photo again.",
    ),
    InvalidQueryError: (
        422,
        "invalid",
        "The server cannot use this query.",
        "Look at the settings, or take another photo.",
    ),
    DeadlineExceededError: (
        504,
        "late",
        "The answer took too long.",
        "The server is busy. Try again in a moment.",
    ),
    TooLargeError: (
        413,
        "image",
        "This photo is too large.",
        "Save it smaller, or choose another one.",
    ),
    OverloadedError: (
        429,
        "busy",
        "The server has too much to do just now.",
        "Try again in a moment.",
    ),
    UnreadableFileError: (
        422,
        "invalid",
        "This file is empty.",
        "Choose another photo.",
    ),
}
_REFUSED = (
    502,
    "refused",
    "The search server refused this page.",
    "Start beauty-search web with the token or certificate that the server needs; see its log.",
)
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_OTHERWISE = (
    502,
    "failed",
    "The search failed.",
    "Try again. If it stays so, the server's log says why.",
)
_IMAGE_FIELD = "refused the query: image:"  # as the server's message names the field at fault
_BROKEN_IMAGE = (
    422,
    "image",
    "This photo cannot be read.",
    f"It may be damaged, or no picture at all. Choose another one: {', '.join(SUFFIXES)} can be "
    "read.",
)
_HEIC_FILE = "image: is a HEIC file"
_NO_HEIC = (
    422,
    "image",
    "This server does not read HEIC.",
    "Save the photo as JPEG and choose it again, or install the extra heic where the server runs.",
)


def problem_of(error: RetrievalError) -> Problem:
    """Describe an error of the client in plain words."""
    words = _WORDS.get(type(error), _OTHERWISE)
    if isinstance(error, InvalidQueryError) and _IMAGE_FIELD in str(error):
        words = _NO_HEIC if _HEIC_FILE in str(error) else _BROKEN_IMAGE
    if error.code in _REFUSALS:
        words = _REFUSED
    problem = Problem(*words, details=str(error))
    if isinstance(error, OverloadedError) and error.retry_after_s is not None:
        problem = replace(problem, advice=f"Try again in {error.retry_after_s:.1f} s.")
    return problem


def too_large(limits: Limits) -> Problem:
    """The problem of a photo above the server's limit."""
    return Problem(
        413,
        "image",
        "This photo is too large.",
        f"At most {_megabytes(limits)} can be sent. Save it smaller, or choose another one.",
    )


def too_large_together(limits: Limits) -> Problem:
    """The problem of several photos that are above the server's limit together."""
    return Problem(
        413,
        "image",
        "These photos are too large together.",
        f"At most {_megabytes(limits)} can be sent. Save them smaller, or take fewer.",
    )


def _megabytes(limits: Limits) -> str:
    return f"{limits.max_image_bytes // 10_000 / 100:g} MB"  # rounded down: it is a promise


def bad_parameter(details: str) -> Problem:
    """The problem of a parameter that the page itself never sends."""
    return Problem(400, "invalid", "A setting cannot be used.", "Reload the page.", details)


def result_json(result: SearchResult) -> dict[str, Any]:
    """A search's answer, field by field as ``client.results`` has it, and its verdict in words."""
    return {**asdict(result), "verdict": verdict(result)}


def status_json(status: ServerStatus, catalogue: Path | None) -> dict[str, Any]:
    """What the page needs to know before the first query.

    ``max_image_bytes`` and ``too_large``, the problem of a photo above it, are null where the
    server does not report its limits. ``has_words`` is whether it can search by words. ``columns``
    are those with controls; ``group_columns`` are the names of those to group results by.
    """
    limits = status.limits
    return {
        "index_version": status.index_version,
        "profile": status.profile,
        "product_count": status.product_count,
        "models": [{"name": model.name, "alpha": model.alpha} for model in status.models],
        "text_document_count": status.text_index.document_count,
        "default_top_k": status.default_top_k,
        "default_keep": status.default_keep,
        "default_text_weight": status.default_text_weight,
        "warnings": list(status.warnings),
        "max_photos": 1 if limits is None else max(1, limits.max_photos),
        "max_image_bytes": None if limits is None else limits.max_image_bytes,
        "too_large": None if limits is None else too_large(limits).to_json(),
        "columns": _chosen_columns(status),
        "group_columns": _group_columns(status),
        "has_words": limits is not None and limits.max_words_characters > 0,
        "has_pictures": catalogue is not None,
    }


def _chosen_columns(status: ServerStatus) -> list[dict[str, Any]]:
    """The first columns that can divide the catalogue by a choice or a range; texts need a list."""
    found = [
        {"name": column.name, "kind": column.kind, "values": values}
        for column in status.columns
        if (values := _choices(column)) or column.kind is ColumnKind.NUMBER
        if column.distinct_count > 1 or column.missing_count
    ]
    return found[:COLUMNS_WITH_CONTROLS]


def _group_columns(status: ServerStatus) -> list[str]:
    """The columns in which several images have the same value, that of the products first.

    None where the server ignores groups. A column without a name cannot be asked for.
    """
    if status.limits is None or not status.limits.max_group_by_characters:
        return []
    names = [
        column.name
        for column in status.columns
        if column.name
        if 1 < column.distinct_count < status.product_count - column.missing_count
    ]
    return sorted(names, key=lambda name: name != PRODUCT_COLUMN)


def _choices(column: CatalogueColumn) -> Sequence[str]:
    return ("true", "false") if column.kind is ColumnKind.TRUTH else column.values
