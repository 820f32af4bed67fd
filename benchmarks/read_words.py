"""``make bench-read-words``: compare ways to weigh the lines on a photo, by mAP@7.

    python -m benchmarks.read_words build/demo/sample --index build/demo/index

A line that was read may be noise, the label of a shelf, or the name of the product. It could count
by its confidence, by its height compared with the highest line, or by its nearness to the middle of
the photo. In the formulas of ``WEIGHTS``, x is one of these. An n-gram of the query gets the weight
of its heaviest line, besides (1 + ln TF) · IDF; t is the larger cosine over the fields.

Two further questions are asked of every weight. *Shrinks*: is the length of the query's vector that
without weights, so that a photo with light lines only has a small t? *Unknown*: does an n-gram that
no product has count for the length, with the IDF of a DF of 0?

The ranking is that of the search: eq. (8) times 1 + β t with the profile's β, refined. The last row
chooses a way on four fifths of the items and rates it on the rest, five times. Each row is compared
with the first one: the difference with its 95 % interval, and p corrected by Holm for all rows.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.typed_words import visual_similarities
from export.descriptors.engine_choice import EngineChoice
from export.descriptors.read_words import read_words
from export.evaluation.ablation import CATEGORY_COLUMN
from export.evaluation.sections import range_text
from export.evaluation.significance import holm, paired_difference
from export.ground_truth.database import IndexDatabase
from export.ground_truth.folds import folds_of
from export.ground_truth.queries import Query, items_of, read_ground_truth
from export.tuning.rate_settings import RowLists, best_rows, rate_settings
from retrieval_server.errors import ImageError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.models.photo import decode_photo
from retrieval_server.reading.reader import ReadLine
from retrieval_server.retrieval.search_request import DEFAULT_KEEP
from retrieval_server.text.grams import GramRule, grams_of
from retrieval_server.text.word_search import DESCRIPTION, IMAGE, RULES

FOLDS, SEED = 5, 0
Matrix = NDArray[np.float64]


class Line(NamedTuple):
    """A line on a photo.

    Attributes:
        text: its characters.
        confidence: how surely they are right, 0.5 to 1.
        height: of its box, as a share of the highest one on the photo.
        nearness: of its middle to that of the photo; 0 at the edge, 1 in the middle.
    """

    text: str
    confidence: float
    height: float
    nearness: float


WEIGHTS: dict[str, Callable[[Line], float]] = {
    "all lines alike": lambda line: 1.0,
    "confidence x": lambda line: line.confidence,
    "confidence x²": lambda line: line.confidence**2,
    "confidence 2x - 1": lambda line: 2 * line.confidence - 1,
    "height √x": lambda line: line.height**0.5,
    "height x": lambda line: line.height,
    "nearness √x": lambda line: line.nearness**0.5,
    "nearness x": lambda line: line.nearness,
    "confidence 2x - 1, height √x, nearness √x": lambda line: (
        (2 * line.confidence - 1) * (line.height * line.nearness) ** 0.5
    ),
    "letters only": lambda line: float(any(map(str.isalpha, line.text))),
}


class Way(NamedTuple):
    """A way to weigh lines: a key of ``WEIGHTS``, and the answers to both questions."""

    weight: str
    shrinks: bool
    counts_unknown: bool

    def __str__(self) -> str:
        marks = (("shrinks", self.shrinks), ("unknown", self.counts_unknown))
        return ", ".join([self.weight, *(name for name, holds in marks if holds)])


PLAIN = Way("all lines alike", shrinks=False, counts_unknown=False)
WAYS = [PLAIN] + [
    way
    for way in itertools.starmap(Way, itertools.product(WEIGHTS, (False, True), (False, True)))
    if way != PLAIN and not (way.shrinks and way.weight == PLAIN.weight)
]


class Field:
    """The texts of a field, as vectors of their n-grams.

    Args:
        texts: one for each product.
        rule: how they give n-grams.
    """

    def __init__(self, texts: Sequence[str], rule: GramRule) -> None:
        self._rule = rule
        self._vectorizer = TfidfVectorizer(analyzer=self._codes, sublinear_tf=True)
        filled = [text for text in texts if self._codes(text)]
        self._vectorizer.fit(filled)
        self._texts = self._vectorizer.transform(texts)
        self._unknown_idf = np.log(1 + len(filled)) + 1

    def cosines(self, lines: Sequence[Line], way: Way) -> Matrix:
        """Cosines of weighed lines and the texts, (N,)."""
        numbers, codes = grams_of([line.text for line in lines], self._rule)
        grams, places = np.unique(codes, return_inverse=True)
        heaviest = np.zeros(len(grams))
        weights = np.array([WEIGHTS[way.weight](line) for line in lines])
        np.maximum.at(heaviest, places, weights[numbers])
        terms = np.array([self._vectorizer.vocabulary_.get(int(gram), -1) for gram in grams], int)
        is_known = terms >= 0
        idf = np.where(is_known, self._vectorizer.idf_[terms], self._unknown_idf)
        full = (1 + np.log(np.bincount(places, minlength=len(grams)))) * idf
        weighed = full * heaviest
        counted = is_known | way.counts_unknown
        length = np.linalg.norm((full if way.shrinks else weighed)[counted])
        query = np.zeros(self._texts.shape[1])
        query[terms[is_known]] = weighed[is_known] / (length or 1.0)
        return np.minimum(1.0, self._texts @ query)

    def _codes(self, text: str) -> list[int]:
        return list(map(int, grams_of([text], self._rule)[1]))


def lines_of(queries: Sequence[Query], profile: str, engine: EngineChoice) -> list[list[Line]]:
    """The lines on each photo."""
    found: list[list[Line]] = [[] for _ in queries]

    def keep(number: int, read: tuple[ReadLine, ...] | ImageError) -> None:
        if isinstance(read, ImageError) or not read:
            return
        photo = decode_photo(queries[number].image.read_bytes())
        middle = np.array([photo.width, photo.height]) / 2
        corners = np.array([line.corners for line in read])  # (L, 4, 2)
        heights = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
        offsets = np.abs(corners.mean(axis=1) / middle - 1).max(axis=1)
        found[number] = [
            Line(line.text, line.confidence, float(height), max(0.0, 1 - float(offset)))
            for line, height, offset in zip(read, heights / heights.max(), offsets, strict=True)
        ]

    read_words([query.image for query in queries], profile, engine, keep)
    return found


def fields_of(bundle: IndexBundle) -> list[Field]:
    """The fields of an index."""
    record = bundle.manifest.words
    products = [bundle.product(row) for row in range(len(bundle))]
    texts = {DESCRIPTION: [record.text_of(p.description, p.attributes) for p in products]}
    if IMAGE in record.fields:
        texts[IMAGE] = [
            "\n".join(line.text for line in bundle.read(row)) for row in range(len(bundle))
        ]
    return [Field(each, RULES[name]) for name, each in texts.items()]


def text_cosines(fields: list[Field], lines: list[list[Line]], way: Way, products: int) -> Matrix:
    """The similarity t of each photo and product, (Q, N)."""
    found = np.zeros((len(lines), products))
    for row, own in zip(found, lines, strict=True):
        for field in fields if own else ():
            np.maximum(row, field.cosines(own, way), out=row)
    return found


def rater(bundle: IndexBundle, queries: Sequence[Query]) -> Callable[[Matrix], Matrix]:
    """A function that rates similarities (Q, N), refined: average precision (gt), (Q,)."""
    lists = [bundle.text_index.neighbours(row)[0] for row in range(len(bundle))]
    neighbours = RowLists.of([list(map(int, rows)) for rows in lists])
    rows = [[bundle.row_of(i) for i in query.relevant] for query in queries]
    relevant = RowLists.of([sorted(row for row in each if row is not None) for each in rows])
    keeps = np.array([DEFAULT_KEEP])

    def rate(similarities: Matrix) -> Matrix:
        best = best_rows(similarities)
        rated: Matrix = rate_settings(similarities, best, neighbours, relevant, keeps)[0]
        return rated

    return rate


def category_of(query: Query, bundle: IndexBundle) -> str:
    """The first part of the category of a query's first true match; empty without one."""
    row = bundle.row_of(min(query.relevant))
    assert row is not None
    return bundle.product(row).attributes.get(CATEGORY_COLUMN, "").split("/")[0]


def chosen_elsewhere(ratings: Matrix, items: list[int]) -> Matrix:
    """The rating of each query by the way that is best on the other folds.

    Args:
        ratings: (W, Q) by way.
        items: the item of each query.
    """
    folds = folds_of(items, FOLDS, SEED)
    held_out = np.empty(len(items))
    for fold in range(FOLDS):
        tested = folds == fold
        held_out[tested] = ratings[int(np.argmax(ratings[:, ~tested].sum(axis=1))), tested]
    return held_out


def main() -> None:
    """Rate all ways, and the choice among them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    options = parser.parse_args()
    bundle = open_index(options.index)
    engine = EngineChoice(options.model_repository)
    queries, visual = visual_similarities(
        read_ground_truth(options.dataset, IndexDatabase(bundle)).by_image(), bundle, engine
    )
    lines = lines_of(queries, bundle.profile.name, engine)
    fields, rate = fields_of(bundle), rater(bundle, queries)
    beta, items = bundle.profile.text_weight, items_of(queries)
    without = rate(visual)
    ratings = np.stack(
        [rate(visual * (1 + beta * text_cosines(fields, lines, way, len(bundle)))) for way in WAYS]
    )
    rows = {str(way): rated for way, rated in zip(WAYS, ratings, strict=True)}
    rows["chosen on other folds"] = chosen_elsewhere(ratings, items)
    changes = [paired_difference(ratings[0], rated, items) for rated in rows.values()]
    p_values = holm([change.p_value for change in changes[1:]])
    categories = np.array([category_of(query, bundle) for query in queries])
    table = Table(
        title=f"{options.dataset.resolve().name}: mAP@7 (gt) of {len(queries)} queries, refined; "
        f"{without.mean():.4f} without words; by category the difference to that"
    )
    table.add_column("way")
    for name in ("mAP@7", "to the first row", "p", *sorted(set(categories))):
        table.add_column(name, justify="right")
    for (name, rated), change, p_value in zip(rows.items(), changes, [1.0, *p_values], strict=True):
        table.add_row(
            name,
            f"{rated.mean():.4f}",
            f"{change.mean:+.4f} ({range_text(change.interval, signed=True)})",
            f"{p_value:.3f}",
            *(
                f"{(rated - without)[categories == category].mean():+.4f}"
                for category in sorted(set(categories))
            ),
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
