"""The HTML of a contact sheet: a section for each query."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from export.pictures.attention_view import STYLE as ATTENTION_STYLE
from export.pictures.attention_view import AttentionView, view_element
from export.pictures.page_pictures import thumbnail_element
from export.pictures.rankings import QueryRankings, RankedProduct

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --good: #1a8f4a;
        --new: light-dark(#1d5fb4, #8fc1ff); --gone: light-dark(#a8321f, #ffab9b); }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px;
       padding: 0 1rem; background: light-dark(#fff, #17141a);
       color: light-dark(#221a22, #f1ecf1); }
section { border-top: 1px solid var(--line); padding: 1rem 0; display: flex; gap: 1.5rem; }
.query { flex: 0 0 180px; } .query img { width: 100%; border-radius: 6px; }
.query > img { outline: 3px solid #c0392b; }
.rankings { flex: 1; min-width: 0; }
h1 { font-size: 1.4rem; } h2 { font-size: .8rem; margin: .2rem 0 .4rem; text-transform: uppercase; }
ol { list-style: none; margin: 0 0 1rem; padding: 0; display: grid; gap: .6rem;
     grid-template-columns: repeat(7, minmax(0, 1fr)); }
li { border: 1px solid var(--line); border-radius: 6px; padding: .3rem; font-size: .75rem;
     overflow-wrap: anywhere; }
li img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; border-radius: 4px; }
li.true { outline: 3px solid var(--good); } li.gone img { opacity: .55; }
.mark { font-weight: 600; } .new .mark { color: var(--new); } .gone .mark { color: var(--gone); }
.text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
        overflow: hidden; }
dl { margin: .3rem 0 0; border-top: 1px solid var(--line); }
dl div { display: flex; justify-content: space-between; gap: .4rem; }
dt { min-width: 0; } dd { margin: 0; white-space: nowrap; font-variant-numeric: tabular-nums; }
.missing { aspect-ratio: 1; display: grid; place-items: center; background: #8882; }
@media (max-width: 900px) {
  section { display: block; } ol { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
}
"""
_CLASSES = {"kept": "", "removed": "gone", "brought": "new"}


def page_head(*, has_ground_truth: bool) -> str:
    """The beginning of the page, up to the first section."""
    legend = (
        "Framed in green: the same item, by the ground truth. "
        if has_ground_truth
        else "No ground truth was given. "
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>beauty-retrieval: contact sheet</title><style>{_STYLE}{ATTENTION_STYLE}</style>"
        "<main><h1>Query photos and the products found</h1>"
        f"<p>{legend}<b>−</b> marks what refinement removed, <b>+</b> what it brought. Below each "
        "product: the fused similarity of eq. (8), the cosine of each backbone, and for a text "
        "neighbour the product that brought it with the cosine of the two descriptions.</p>"
    )


def page_foot() -> str:
    """The end of the page, after the last section."""
    return "</main></html>\n"


def section(rankings: QueryRankings, views: Sequence[AttentionView]) -> str:
    """One query, the attention of the models to it, and its rankings."""
    read = f"<p>{html.escape(rankings.read_line)}</p>" if rankings.read else ""
    looked_at = "".join(view_element(view) for view in views)
    return (
        "<section><div class=query><h2>Query</h2>"
        f"{thumbnail_element(rankings.query, 'query photo')}"
        f"<p>{html.escape(rankings.query.name)}</p>{read}{looked_at}</div>"
        "<div class=rankings>"
        f"<h2>Initial ranking</h2><ol>{_items(rankings.initial)}</ol>"
        f"<h2>After refinement</h2><ol>{_items(rankings.refined)}</ol></div></section>"
    )


def _items(products: Iterable[RankedProduct]) -> str:
    return "".join(map(_item, products))


def _item(product: RankedProduct) -> str:
    classes = [_CLASSES[product.change]] * (product.change != "kept") + ["true"] * product.is_true
    mark = f"<div class=mark>{html.escape(product.mark)}</div>" if product.mark else ""
    scores = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in product.scores
    )
    description = html.escape(product.description)
    return (
        f'<li class="{" ".join(classes)}">'
        f"{thumbnail_element(product.picture, product.product_id)}"
        f"<div>{product.rank} · {html.escape(product.product_id)} · {product.similarity:.3f}</div>"
        f'{mark}<div class=text title="{description}">{description}</div><dl>{scores}</dl></li>'
    )
