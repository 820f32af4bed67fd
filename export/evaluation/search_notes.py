"""What was searched in an evaluation, and what a result is: sentences for a reader."""

from __future__ import annotations

from export.dataset.table import shown
from export.evaluation.results import Evaluation
from retrieval_server.attributes.names import PRODUCT_COLUMN

BY_PRODUCT = (
    "The ground truth names products, so results and true matches are products: each counts once, "
    "by its best image."
)


def search_notes(evaluation: Evaluation) -> list[str]:
    """Sentences on groups and conditions; none for a search of single images without conditions."""
    notes = []
    if evaluation.group_by is not None:
        notes.append(_groups(evaluation, evaluation.group_by))
    if evaluation.where:
        notes.append(_part(evaluation))
    return notes


def _groups(evaluation: Evaluation, column: str) -> str:
    """What a result is, and what a true match is."""
    if evaluation.by_product and column == PRODUCT_COLUMN:
        return BY_PRODUCT
    found = f"Each result is the best image of one value of the column {shown(column)}."
    if evaluation.by_product:
        return f"{found} True matches are products, of each of which the first result counts."
    return f"{found} True matches are images; of those of one value, only the best can be found."


def _part(evaluation: Evaluation) -> str:
    """Which images were searched, and how many queries have nothing to find among them."""
    text = (
        f"Searched: the {evaluation.searched:,} images where {' and '.join(evaluation.where)}; "
        "true matches are those among them."
    )
    count = evaluation.unanswerable
    if count:
        have = "1 query has" if count == 1 else f"{count:,} queries have"
        text += f" {have} none, and no figure includes {'it' if count == 1 else 'them'}."
    return text
