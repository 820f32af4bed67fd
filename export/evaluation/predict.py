"""The challenge's answer: seven database ids for each image of a folder, as one CSV file.

The file has no header. It has one row for each query, sorted by id: the id of the query, then seven
ids, best first. The seven fields are empty for a query that cannot be read; fields beyond the
number of products, or of groups, that may be found are empty too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from export.dataset.perfect_500k import ImagesById
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.metrics import RESULTS
from export.evaluation.part import searched_rows
from export.evaluation.query_descriptors import describe_images
from export.progress import progress
from retrieval_server.command_line.output_file import write_output
from retrieval_server.errors import CatalogueError, ImageError
from retrieval_server.exact_search.shared_scan import Search, results_together
from retrieval_server.filters.typed import ALL_PRODUCTS, TypedFilter
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import (
    DEFAULT_KEEP,
    QueryDescriptors,
    SearchParameters,
)


@dataclass(frozen=True)
class Prediction:
    """The outcome of a prediction.

    Attributes:
        queries: number of rows written.
        unreadable: the query images that could not be read: the reason, by id.
        searched: number of products that may be found.
        left_out_line: what the folder has beside images; empty if there is nothing to name.
    """

    queries: int
    unreadable: Mapping[str, str]
    searched: int
    left_out_line: str


def predict(
    images: Path,
    output: Path,
    bundle: IndexBundle,
    engine: EngineChoice,
    keep: int = DEFAULT_KEEP,
    where: TypedFilter = ALL_PRODUCTS,
    group_by: str | None = None,
) -> Prediction:
    """Search for every image of a folder and write the ids found.

    Args:
        images: folder of query images, named after their ids; includes the folders below.
        output: CSV file to write; ``-`` is standard output.
        bundle: the index to search.
        engine: what computes the descriptors of the queries, by the models of the index.
        keep: the paper's k; 7 is the initial ranking.
        where: which products may be found.
        group_by: column of whose values the best image each is found; None finds any image.

    Raises:
        RetrievalError: if the folder cannot be read; there are no images, two of one id, or none
            that can be read; the models differ from the index's; or a condition or ``group_by``
            does not suit the columns of the index.
        OutputError: if the file cannot be written.
    """
    searched = searched_rows(bundle, where)
    found = ImagesById(images)
    by_id = found.all()
    if not by_id:
        raise CatalogueError(f"There are no images in {images}. {found.left_out_line}".rstrip())
    retriever, described = describe_images(list(by_id.values()), bundle, engine)
    unreadable = {
        i: found.problem
        for i, found in zip(by_id, described, strict=True)
        if isinstance(found, ImageError)
    }
    if len(unreadable) == len(by_id):
        raise CatalogueError(f"None of the {len(by_id):,} images in {images} can be read.")
    parameters = SearchParameters(top_k=RESULTS, keep=keep, filter=where.filter, group_by=group_by)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    searches = (_results(retriever, descriptors, parameters) for descriptors in described)
    with progress("searches", len(by_id)) as advance:
        results = results_together(searches, advance)
    for query, result in zip(by_id, results, strict=True):
        writer.writerow([query, *result])
    write_output(output, text.getvalue())
    return Prediction(len(by_id), unreadable, int(searched.sum()), found.left_out_line)


def _results(
    retriever: Retriever,
    descriptors: QueryDescriptors | ImageError,
    parameters: SearchParameters,
) -> Search[list[str]]:
    """Seven ids, filled up with empty texts; found beside other searches."""
    found: list[str] = []
    if not isinstance(descriptors, ImageError):
        result = yield from retriever.searching(descriptors, parameters)
        found = [retriever.bundle.product_id(match.row) for match in result.matches]
    return found + [""] * (RESULTS - len(found))
