"""The two rankings of a query, read from the output of ``beauty-search --json``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from retrieval_server.attributes.names import PRODUCT_COLUMN
from retrieval_server.errors import CatalogueError

Change = Literal["kept", "removed", "brought"]


@dataclass(frozen=True)
class TextOrigin:
    """The seed of which a product is a text neighbour, and the cosine of their descriptions."""

    seed_rank: int
    seed_product_id: str
    cosine: float


@dataclass(frozen=True)
class RankedProduct:
    """One product of a ranking.

    Attributes:
        product: the name of the product that it shows; empty if the catalogue does not say.
        picture: its image file.
        similarity: fused similarity, eq. (8).
        cosines: cosine of each backbone, by model name; empty if the results lack them.
        words: similarity of the query's words and its text; None for a query without words.
        group_size: number of images of its group that may be found; None without groups.
        text: the seed whose text neighbour it is, if the search among these brought it; else None.
        change: whether refinement removed it, brought it, or kept it in the results.
        is_true: whether the ground truth has it as a true match of the query.
    """

    rank: int
    product_id: str
    product: str
    picture: Path
    description: str
    similarity: float
    cosines: Mapping[str, float]
    words: float | None
    group_size: int | None
    text: TextOrigin | None
    change: Change
    is_true: bool

    @property
    def mark(self) -> str:
        """The effect of refinement in a few words; empty if there is none."""
        if self.change == "removed":
            return "− removed"
        if self.change == "brought":
            if self.text is None:
                return "+ filled up"
            return f"+ text of #{self.text.seed_rank} ({self.text.cosine:.2f})"
        return ""

    @property
    def scores(self) -> list[tuple[str, str]]:
        """Name and value of every similarity it was ranked by, and the size of its group."""
        lines = [("similarity", f"{self.similarity:.4f}")]
        lines += [(model, f"{cosine:.3f}") for model, cosine in self.cosines.items()]
        if self.words is not None:
            lines.append(("words", f"{self.words:.3f}"))
        if self.text is not None:
            lines.append(
                (
                    f"text, #{self.text.seed_rank} {self.text.seed_product_id}",
                    f"{self.text.cosine:.3f}",
                )
            )
        if self.group_size is not None:
            lines.append(("images of the group", f"{self.group_size:,}"))
        return lines


@dataclass(frozen=True)
class QueryRankings:
    """A query with its rankings before and after refinement.

    Attributes:
        query: its image file; its name is shown.
        digests: digests of the models that computed the results, by name; empty if not known.
        read: the lines of text that were read on the photo.
    """

    query: Path
    initial: tuple[RankedProduct, ...]
    refined: tuple[RankedProduct, ...]
    digests: Mapping[str, str]
    read: tuple[str, ...]

    @property
    def read_line(self) -> str:
        """What was read on the photo, in one line; empty if nothing was."""
        return f"read: {' · '.join(self.read)}" if self.read else ""


def query_rankings(
    record: Mapping[str, Any], catalogue: Path, relevant: Mapping[str, Collection[str]]
) -> QueryRankings | None:
    """Read one record of results.

    Args:
        record: a line of ``beauty-search --json``.
        catalogue: folder to which the catalogue's image paths are relative.
        relevant: true matches by the name of the query's file; empty if not known.

    Returns:
        The rankings; None if the query failed.

    Raises:
        CatalogueError: if it is no search result.
    """
    try:
        if "error" in record:
            return None
        query = Path(record["query"])
        true = relevant.get(query.name, ())
        before = _ids(record["initial_results"])
        after = _ids(record["results"])
        return QueryRankings(
            query=query,
            initial=tuple(
                _product(
                    match, catalogue, true, "kept" if match["product_id"] in after else "removed"
                )
                for match in record["initial_results"]
            ),
            refined=tuple(
                _product(
                    match, catalogue, true, "kept" if match["product_id"] in before else "brought"
                )
                for match in record["results"]
            ),
            digests={str(m["name"]): str(m["digest"]) for m in record.get("models", ())},
            read=tuple(_text(line["text"]) for line in record.get("read_lines", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CatalogueError(
            f"A record is no search result ({error!r}). Pass what beauty-search --json printed."
        ) from error


def with_true_products(
    shown: Sequence[QueryRankings], relevant: Mapping[str, Collection[str]]
) -> list[QueryRankings]:
    """Mark all images of the true matches, if a ground truth names products.

    It names images if one of its names is the id of an image that is shown, and not the name of the
    product there.

    Args:
        shown: the rankings of all queries, with true matches marked by the ids of images.
        relevant: true matches by the name of the query's file.
    """
    named = frozenset().union(*relevant.values())
    products = [product for each in shown for product in (*each.initial, *each.refined)]
    if any(each.product_id in named and each.product_id != each.product for each in products):
        return list(shown)

    def marked(
        ranking: Iterable[RankedProduct], true: Collection[str]
    ) -> tuple[RankedProduct, ...]:
        return tuple(replace(each, is_true=each.product in true) for each in ranking)

    return [
        replace(each, initial=marked(each.initial, true), refined=marked(each.refined, true))
        for each in shown
        for true in (relevant.get(each.query.name, ()),)
    ]


def _ids(matches: Iterable[Mapping[str, Any]]) -> set[str]:
    return {match["product_id"] for match in matches}


def _product(
    match: Mapping[str, Any], catalogue: Path, true: Collection[str], change: Change
) -> RankedProduct:
    text, words, size = match.get("text"), match.get("words"), match.get("group_size")
    product_id = _text(match["product_id"])
    return RankedProduct(
        rank=_whole(match["rank"]),
        product_id=product_id,
        product=_text(match.get("attributes", {}).get(PRODUCT_COLUMN, "")),
        picture=catalogue / _text(match["image"]),
        description=_text(match["description"]),
        similarity=_real(match["similarity"]),
        cosines={str(model): _real(cosine) for model, cosine in match.get("cosines", {}).items()},
        words=None if words is None else _real(words["cosine"]),
        group_size=None if size is None else _whole(size),
        text=None
        if text is None
        else TextOrigin(
            _whole(text["seed_rank"]), str(text.get("seed_product_id", "")), _real(text["cosine"])
        ),
        change=change,
        is_true=product_id in true,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
