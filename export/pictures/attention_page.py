"""The attention of a profile's models to photos: an HTML page, and on request a PNG for each photo.

Each photo is shown on the left as the models see it, and beside it for each model the mask of
eq. (1) and the region weights of eq. (2), as ``attention_view`` draws them.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from export.pictures.attention_view import STYLE, AttentionView, AttentionViewer, view_element
from export.pictures.lettering import LINE, PAPER, QUIET, Column
from export.pictures.page_pictures import thumbnail, thumbnail_element
from export.pictures.picture_files import page_file, write_png
from export.progress import pictures_progress
from retrieval_server.command_line.image_files import list_images
from retrieval_server.errors import CatalogueError, ImageError
from retrieval_server.models.model_repository import ModelRepository

MARGIN = 16
PICTURE_SIDE = 320
WEIGHTS_WIDTH = 220
_STYLE = """
:root { color-scheme: light dark; --line: #8885; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px;
       padding: 0 1rem; background: light-dark(#fff, #17141a);
       color: light-dark(#221a22, #f1ecf1); }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding: 1rem 0; }
.photo { display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: 1rem;
         align-items: start; }
.photo > img { width: 100%; border-radius: 4px; }
.models { display: flex; flex-wrap: wrap; gap: 1rem; }
.models .view { flex: 1 1 24rem; min-width: 0; max-width: 34rem; margin: 0; }
@media (max-width: 700px) { .photo { grid-template-columns: 1fr; } }
"""
_HEAD = (
    "<!doctype html><html lang=en><meta charset=utf-8>"
    '<meta name=viewport content="width=device-width">'
    f"<title>beauty-retrieval: attention</title><style>{_STYLE}{STYLE}</style>"
    "<main><h1>What the pooling looked at</h1>"
    "<p>For each model, left: dark is what the mask of eq. (1) leaves out. Right: each cell is as "
    "bright as the regions that contain it weigh together in eq. (2); a region weighs as much as "
    "the mask covers of it.</p>"
)


def write_attention_page(
    photos: Sequence[Path],
    ensemble: str,
    repository: Path,
    output: Path,
    *,
    pictures: Path | None = None,
    on_warning: Callable[[str], None] = lambda warning: None,
) -> int:
    """Write a page with the attention of a profile's models to photos.

    Args:
        photos: image files, or folders of them.
        ensemble: the profile's name in the repository.
        repository: the model repository.
        output: HTML file to write; ``-`` is standard output.
        pictures: folder to write one PNG for each photo to, if any.
        on_warning: told of photos that cannot be read and models without a mask.

    Returns:
        The number of photos shown.

    Raises:
        CatalogueError: if there is no photo that can be read.
        OutputError: if the page or a picture cannot be written.
        ModelRepositoryError: if a model is missing, or none of them has a mask.
    """
    digests = {model.name: model.digest for model in ModelRepository(repository).ensemble(ensemble)}
    viewer = AttentionViewer(repository, on_warning)
    files = list(_files(photos, on_warning))
    shown = 0
    with page_file(output) as page:
        page.write(_HEAD)
        for photo in pictures_progress("photos", files):
            try:
                views = viewer.views(photo, digests)
            except ImageError as error:
                on_warning(f"{photo} {error.problem} It is left out.")
                continue
            shown += 1
            page.write(_section(photo, views))
            if pictures is not None:
                write_png(pictures, shown, photo.name, attention_picture(photo, views))
        if not shown:
            named = ", ".join(map(str, photos))
            raise CatalogueError(f"No image that can be read in {named}. Name photos to look at.")
        page.write("</main></html>\n")
    return shown


def attention_picture(photo: Path, views: Sequence[AttentionView]) -> Image.Image:
    """Draw a photo and, in a row for each model, the attention to it."""
    row_height = PICTURE_SIDE + MARGIN + 3 * LINE
    width = 5 * MARGIN + 3 * PICTURE_SIDE + WEIGHTS_WIDTH
    height = int(2 * MARGIN + row_height * len(views))
    canvas = Image.new("RGB", (width, height), PAPER)
    column = Column(canvas, MARGIN, PICTURE_SIDE, MARGIN)
    column.picture(thumbnail(photo, PICTURE_SIDE), PICTURE_SIDE)
    column.line(photo.name, bold=True)
    for number, view in enumerate(views):
        _draw_view(canvas, view, MARGIN + number * row_height)
    return canvas


def _draw_view(canvas: Image.Image, view: AttentionView, top: float) -> None:
    left = 2 * MARGIN + PICTURE_SIDE
    mask = Column(canvas, left, 2 * PICTURE_SIDE + MARGIN, top)
    mask.picture(view.mask_picture, PICTURE_SIDE)
    mask.line(view.caption, bold=True)
    left += PICTURE_SIDE + MARGIN
    Column(canvas, left, PICTURE_SIDE, top).picture(view.weights_picture, PICTURE_SIDE)
    weights = Column(canvas, left + PICTURE_SIDE + MARGIN, WEIGHTS_WIDTH, top)
    weights.line("Region weights, eq. (2)", bold=True)
    for level in view.attention.levels:
        weights.line(f"{level.side} × {level.side} cells", QUIET)
        for row in level.weights:
            weights.line("   ".join(f"{weight:.2f}" for weight in row))
        weights.top += LINE / 2


def _section(photo: Path, views: Sequence[AttentionView]) -> str:
    return (
        f"<section><h2>{html.escape(photo.name)}</h2><div class=photo>"
        f"{thumbnail_element(photo, 'the photo as the models see it', PICTURE_SIDE)}"
        f"<div class=models>{''.join(map(view_element, views))}</div></div></section>"
    )


def _files(photos: Sequence[Path], on_warning: Callable[[str], None]) -> Iterator[Path]:
    for photo in photos:
        if photo.is_dir():
            listing = list_images(photo, recursive=False)
            if left_out := listing.left_out_line():
                on_warning(left_out)
            yield from (photo / path for path in listing.images)
        elif photo.exists():
            yield photo
        else:
            raise CatalogueError(f"There is no photo {photo}. Check the path.")
