"""A query and its two rankings as one picture, as in the paper's figures 1 and 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw

from export.pictures.attention_view import AttentionView
from export.pictures.lettering import (
    INK,
    LINE,
    PAPER,
    QUIET,
    TEXT_PIXELS,
    Column,
    caption_font,
    wrapped,
)
from export.pictures.page_pictures import thumbnail
from export.pictures.rankings import QueryRankings, RankedProduct

COLUMNS = 7
MARGIN = 16
QUERY_SIDE = 240
TILE_WIDTH = 190
TILE_PADDING = 8
PICTURE_SIDE = TILE_WIDTH - 2 * TILE_PADDING
DESCRIPTION_LINES = 3
READ_LINES = 4
HEADING_HEIGHT = 30
HEADING_PIXELS = 16

QUERY_FRAME = "#c0392b"
TRUE_FRAME = "#1a8f4a"
CHANGES = {"kept": "#dddddd", "removed": "#a8321f", "brought": "#1d5fb4"}


def picture(rankings: QueryRankings, views: Sequence[AttentionView]) -> Image.Image:
    """Draw one query: its photo with the attention on the left, its rankings on the right.

    Args:
        rankings: the rankings to draw; a true match has a green frame.
        views: attention of each model; may be empty.
    """
    height = max(_query_height(rankings, views), _rankings_height(rankings)) + 2 * MARGIN
    width = 3 * MARGIN + QUERY_SIDE + COLUMNS * TILE_WIDTH
    canvas = Image.new("RGB", (width, int(height)), PAPER)
    _draw_query(canvas, rankings, views)
    top: float = MARGIN
    left = 2 * MARGIN + QUERY_SIDE
    for title, products in (
        ("Initial ranking", rankings.initial),
        ("After refinement", rankings.refined),
    ):
        font = caption_font(HEADING_PIXELS, bold=True)
        ImageDraw.Draw(canvas).text((left, top), title, fill=INK, font=font)
        top = _draw_ranking(canvas, products, left, top + HEADING_HEIGHT)
    return canvas


def _draw_query(
    canvas: Image.Image, rankings: QueryRankings, views: Sequence[AttentionView]
) -> None:
    column = Column(canvas, MARGIN, QUERY_SIDE, MARGIN)
    column.line("Query", bold=True)
    column.picture(thumbnail(rankings.query, QUERY_SIDE), QUERY_SIDE, QUERY_FRAME)
    column.line(rankings.query.name)
    for text in _read_lines(rankings):
        column.line(text, QUIET)
    for view in views:
        column.top += LINE
        column.picture(view.mask_picture, QUERY_SIDE)
        for text in _caption_lines(view):
            column.line(text, QUIET)


def _draw_ranking(
    canvas: Image.Image, products: Sequence[RankedProduct], left: float, top: float
) -> float:
    """Draw rows of products; returns the top of the next heading."""
    for row in _rows(products):
        height = max(map(_tile_height, row))
        for number, product in enumerate(row):
            _draw_tile(canvas, product, left + number * TILE_WIDTH, top, height)
        top += height + TILE_PADDING
    return top + TILE_PADDING


def _draw_tile(
    canvas: Image.Image, product: RankedProduct, left: float, top: float, height: float
) -> None:
    draw = ImageDraw.Draw(canvas)
    colour = CHANGES[product.change]
    box = (left + 2, top, left + TILE_WIDTH - 3, top + height)
    frame, width = (TRUE_FRAME, 4) if product.is_true else (colour, 1 + (product.change != "kept"))
    draw.rectangle(box, outline=frame, width=width)
    column = Column(canvas, left + TILE_PADDING, PICTURE_SIDE, top + TILE_PADDING)
    image = thumbnail(product.picture, PICTURE_SIDE)
    if image is not None and product.change == "removed":
        image = Image.blend(image, Image.new("RGB", image.size, PAPER), 0.45)
    column.picture(image, PICTURE_SIDE)
    column.line(f"{product.rank} · {product.product_id}", bold=True)
    if product.mark:
        column.line(product.mark, colour, bold=True)
    for text in _description_lines(product):
        column.line(text)
    for name, value in product.scores:
        column.pair(name, value)


def _description_lines(product: RankedProduct) -> list[str]:
    font = caption_font(TEXT_PIXELS)
    return wrapped(product.description, font, PICTURE_SIDE, DESCRIPTION_LINES)


def _read_lines(rankings: QueryRankings) -> list[str]:
    return wrapped(rankings.read_line, caption_font(TEXT_PIXELS), QUERY_SIDE, READ_LINES)


def _caption_lines(view: AttentionView) -> list[str]:
    return wrapped(view.caption, caption_font(TEXT_PIXELS), QUERY_SIDE, 4)


def _rows(products: Sequence[RankedProduct]) -> Iterator[Sequence[RankedProduct]]:
    for start in range(0, len(products), COLUMNS):
        yield products[start : start + COLUMNS]


def _tile_height(product: RankedProduct) -> float:
    lines = 1 + bool(product.mark) + len(_description_lines(product)) + len(product.scores)
    return 2 * TILE_PADDING + PICTURE_SIDE + 4 + lines * LINE


def _rankings_height(rankings: QueryRankings) -> float:
    return sum(
        HEADING_HEIGHT
        + TILE_PADDING
        + sum(max(map(_tile_height, row)) + TILE_PADDING for row in _rows(products))
        for products in (rankings.initial, rankings.refined)
    )


def _query_height(rankings: QueryRankings, views: Sequence[AttentionView]) -> float:
    each = (LINE + QUERY_SIDE + 4 + len(_caption_lines(view)) * LINE for view in views)
    lines = 2 + len(_read_lines(rankings))
    return lines * LINE + QUERY_SIDE + 4 + sum(each)
