"""Search results as pictures: one HTML file with thumbnails inside, no network, no script.

The paper's figures 1 and 3 as a page: for each query its photo, the initial ranking, and the
refined one below it. What refinement removed and what it brought are marked, and so are the true
matches where a ground truth is given.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from export.csv_file import csv_records
from export.ground_truth import GROUND_TRUTH_FILE
from retrieval_server.errors import CatalogueError, ImageError
from retrieval_server.preprocessing import read_image

THUMBNAIL_SIDE = 160
JPEG_QUALITY = 82

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --good: #1a8f4a; --new: #2166c9; --gone: #c0392b; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px;
       padding: 0 1rem; }
section { border-top: 1px solid var(--line); padding: 1rem 0; display: flex; gap: 1.5rem; }
.query { flex: 0 0 180px; } .query img { width: 100%; border-radius: 6px; }
.rankings { flex: 1; min-width: 0; }
h1 { font-size: 1.4rem; } h2 { font-size: .8rem; margin: .2rem 0 .4rem; text-transform: uppercase; }
ol { list-style: none; margin: 0 0 1rem; padding: 0; display: grid; gap: .6rem;
     grid-template-columns: repeat(7, minmax(0, 1fr)); }
li { border: 1px solid var(--line); border-radius: 6px; padding: .3rem; font-size: .75rem; }
li img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; border-radius: 4px; }
li.true { outline: 3px solid var(--good); } li.gone { opacity: .55; }
.mark { font-weight: 600; } .new .mark { color: var(--new); } .gone .mark { color: var(--gone); }
.text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
        overflow: hidden; }
.missing { aspect-ratio: 1; display: grid; place-items: center; background: #8882; }
"""


@dataclass(frozen=True)
class ContactSheet:
    """Where the pictures of a contact sheet come from.

    Attributes:
        catalogue: folder to which the catalogue's image paths are relative.
        relevant: true matches by the name of the query's file; empty if not known.
    """

    catalogue: Path
    relevant: Mapping[str, Collection[str]]

    def page(self, results: Iterable[Mapping[str, Any]]) -> str:
        """Render results, as ``beauty-search --json`` prints them, as one HTML page.

        Raises:
            CatalogueError: if a record is no search result.
        """
        try:
            sections = "".join(self._section(result) for result in results if "error" not in result)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CatalogueError(
                f"A record is no search result ({error!r}). Pass what beauty-search --json printed."
            ) from error
        legend = (
            "Framed in green: the same item, by the ground truth. "
            if self.relevant
            else "No ground truth was given. "
        )
        return (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width">'
            f"<title>beauty-retrieval: contact sheet</title><style>{_STYLE}</style>"
            "<h1>Query photos and the products found</h1>"
            f"<p>{legend}<b>−</b> marks what refinement removed, <b>+</b> what it brought.</p>"
            f"{sections}</html>\n"
        )

    def _section(self, result: Mapping[str, Any]) -> str:
        query = Path(result["query"])
        relevant = self.relevant.get(query.name, ())
        initial, refined = result["initial_results"], result["results"]
        before = {match["product_id"] for match in initial}
        after = {match["product_id"] for match in refined}
        lists = (
            f"<h2>Initial ranking</h2><ol>{self._items(initial, relevant, 'gone', after)}</ol>"
            f"<h2>After refinement</h2><ol>{self._items(refined, relevant, 'new', before)}</ol>"
        )
        return (
            f"<section><div class=query><h2>Query</h2>{_picture(query, 'query photo')}"
            f"<p>{html.escape(query.name)}</p></div><div class=rankings>{lists}</div></section>"
        )

    def _items(
        self,
        matches: Iterable[Mapping[str, Any]],
        relevant: Collection[str],
        change: str,
        other: Collection[str],
    ) -> str:
        """The list items of one ranking; products that the other one lacks are marked."""
        return "".join(
            self._item(match, match["product_id"] in relevant, change, match["product_id"] in other)
            for match in matches
        )

    def _item(self, match: Mapping[str, Any], is_true: bool, change: str, unchanged: bool) -> str:
        marks = {"gone": "− removed", "new": f"+ {_origin(match)}"}
        classes = [] if unchanged else [change]
        if is_true:
            classes.append("true")
        mark = "" if unchanged else f"<div class=mark>{html.escape(marks[change])}</div>"
        return (
            f'<li class="{" ".join(classes)}">'
            f"{_picture(self.catalogue / match['image'], match['product_id'])}"
            f"<div>{match['rank']:d} · {html.escape(match['product_id'])} · "
            f"{match['similarity']:.3f}</div>{mark}"
            f'<div class=text title="{html.escape(match["description"])}">'
            f"{html.escape(match['description'])}</div></li>"
        )


def write_contact_sheet(
    results: Path, catalogue: Path, output: Path, ground_truth: Path | None = None
) -> int:
    """Write a contact sheet.

    Args:
        results: file of what ``beauty-search search`` or ``batch`` printed with ``--json``.
        catalogue: folder to which the catalogue's image paths are relative.
        output: HTML file to write; overwritten.
        ground_truth: file that names the true matches; None takes the catalogue's, if any.

    Returns:
        The number of queries shown.

    Raises:
        CatalogueError: if the results or the ground truth cannot be read.
    """
    truth = catalogue / GROUND_TRUTH_FILE if ground_truth is None else ground_truth
    relevant = {}
    if ground_truth is not None or truth.is_file():
        for _, record in csv_records(truth, ("query_image", "ids")):
            relevant[Path(record["query_image"]).name] = record["ids"].split()
    records = _read_results(results)
    page = ContactSheet(catalogue, relevant).page(records)
    output.parent.mkdir(parents=True, exist_ok=True)
    scratch = output.with_name(f".{output.name}")
    # A file name that is not UTF-8 arrives as half surrogate pairs.
    scratch.write_text(page, encoding="utf-8", errors="replace")
    scratch.replace(output)
    return sum("error" not in record for record in records)


def _read_results(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # U+2028 is no end of a record
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise CatalogueError(f"Cannot read the results {path}: {error}.") from error


def _origin(match: Mapping[str, Any]) -> str:
    text = match.get("text")
    if not text:
        return "filled up"
    return f"text of #{text['seed_rank']} ({text['cosine']:.2f})"


def _picture(path: Path, alternative: str) -> str:
    """An image element with a thumbnail inside; a placeholder where there is no image."""
    try:
        thumbnail = Image.fromarray(read_image(path, THUMBNAIL_SIDE))
    except ImageError:
        return f"<div class=missing>no picture: {html.escape(alternative)}</div>"
    encoded = io.BytesIO()
    thumbnail.save(encoded, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/jpeg;base64,{data}">'
