"""Search results as pictures, as in the paper's figures 1 and 3.

A sheet shows for each query its photo, the initial ranking, and the refined ranking below it. It
marks the products that refinement removed or brought, and frames true matches if there is a ground
truth. Each product has its description, its similarities and the neighbour that brought it. With
the models, the photo shows what they looked at (``attention``).

A sheet is one HTML file with the pictures inside, without network access and scripts; on request
there is a PNG for each query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from export.ground_truth.true_matches import has_ground_truth, true_matches
from export.pictures.attention_view import AttentionView, AttentionViewer
from export.pictures.contact_sheet_page import page_foot, page_head, section
from export.pictures.contact_sheet_picture import picture
from export.pictures.picture_files import page_file, write_png
from export.pictures.rankings import QueryRankings, query_rankings, with_true_products
from export.progress import pictures_progress
from retrieval_server.errors import CatalogueError, ImageError


def write_contact_sheet(
    results: Path,
    catalogue: Path,
    output: Path,
    ground_truth: Path | None = None,
    *,
    pictures: Path | None = None,
    model_repository: Path | None = None,
    on_warning: Callable[[str], None] = lambda warning: None,
) -> int:
    """Write a contact sheet.

    Args:
        results: output of ``beauty-search search`` or ``batch`` with ``--json``, as a file.
        catalogue: folder to which the catalogue's image paths are relative.
        output: HTML file to write; ``-`` is standard output.
        ground_truth: file that names the true matches; None takes the catalogue's, if any.
        pictures: folder to write one PNG for each query to, if any.
        model_repository: the models that computed the results, to show what they looked at; None
            shows nothing of it.
        on_warning: told of models that have no mask to show.

    Returns:
        The number of queries shown.

    Raises:
        CatalogueError: if the results or the ground truth cannot be read, or no query was answered.
        OutputError: if the page or a picture cannot be written.
        ModelRepositoryError: if a model is missing, is not the one that computed the results, or
            none of them has a mask.
    """
    relevant = _read_ground_truth(catalogue, ground_truth)
    shown = [
        rankings
        for record in _read_results(results)
        if (rankings := query_rankings(record, catalogue, relevant)) is not None
    ]
    shown = with_true_products(shown, relevant)
    if not shown:
        raise CatalogueError(f"{results} has no query that was answered: there is nothing to show.")
    viewer = None
    if model_repository is not None:
        viewer = AttentionViewer(model_repository, on_warning)
    with page_file(output) as page:
        page.write(page_head(has_ground_truth=bool(relevant)))
        for number, rankings in enumerate(pictures_progress("queries", shown), start=1):
            views = _views(viewer, rankings)
            page.write(section(rankings, views))
            if pictures is not None:
                write_png(pictures, number, rankings.query.name, picture(rankings, views))
        page.write(page_foot())
    return len(shown)


def _views(viewer: AttentionViewer | None, rankings: QueryRankings) -> list[AttentionView]:
    """What the models look at; nothing where that is not wanted, or the photo cannot be read."""
    if viewer is None:
        return []
    try:
        return viewer.views(rankings.query, rankings.digests)
    except ImageError:
        return []


def _read_ground_truth(catalogue: Path, ground_truth: Path | None) -> dict[str, Collection[str]]:
    """True matches by the name of the query's file; empty where the catalogue has none."""
    if ground_truth is None and not has_ground_truth(catalogue):
        return {}
    return {row.image.name: row.named for row in true_matches(ground_truth or catalogue)}


def _read_results(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # U+2028 is no end of a record
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise CatalogueError(f"Cannot read the results {path}: {error}.") from error
