"""``make bench-typed-words``: compare rules for words by mAP@7, on a dataset with true matches.

    python -m benchmarks.typed_words build/demo/sample --index build/demo/index

Nobody has typed words for these photos, so they are taken from the text of one of the products that
a photo shows: its brand; two of its first words; the same two with a typing error each; and one
word of any product, which is mostly wrong. The photo's similarity is eq. (8), and every rule gives
a TF-IDF cosine t by scikit-learn; the ranking is that of eq. (8) times 1 + β t, without refinement.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer

from export.descriptors.engine_choice import EngineChoice
from export.evaluation.metrics import RESULTS, average_precision
from export.evaluation.query_descriptors import describe_images
from export.ground_truth.database import IndexDatabase
from export.ground_truth.queries import Query, read_ground_truth
from retrieval_server.errors import ImageError
from retrieval_server.exact_search.similarity import fused_similarity
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import open_index
from retrieval_server.text.grams import words_in

FIRST_WORDS = 12  # of a description, where its name is
BETAS = (0.25, 0.5, 1.0, 2.0, 4.0)
SEED = 1
Analyser = Callable[[str], list[str]]


def _runs(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(len(text) - length + 1)]


def by_word(*lengths: int) -> Analyser:
    """Runs of characters of each word, with a space at its ends."""
    return lambda text: [
        run for word in words_in(text) for n in lengths for run in _runs(f" {word} ", n)
    ]


def squeezed(length: int) -> Analyser:
    """Runs of characters of the text without its spaces."""
    return lambda text: _runs("".join(words_in(text)), length)


OURS = "3 characters of a word"
RULES: dict[str, Analyser] = {
    "whole words": words_in,
    "2 characters of a word": by_word(2),
    OURS: by_word(3),
    "4 characters of a word": by_word(4),
    "3 to 5 characters of a word": by_word(3, 4, 5),
    "3 characters, spaces squeezed out": squeezed(3),
    f"{OURS}, and whole words": lambda text: by_word(3)(text) + words_in(text),
}


def typed_words(queries: list[Query], bundle: IndexBundle) -> dict[str, list[str]]:
    """What somebody might type with each query, by its kind."""
    rng = random.Random(SEED)
    typed: dict[str, list[str]] = {
        kind: [] for kind in ("brand", "two words", "two words with errors", "a wrong word")
    }
    for query in queries:
        row = bundle.row_of(rng.choice(sorted(query.relevant)))
        assert row is not None
        product = bundle.product(row)
        words = product.description.split()[:FIRST_WORDS] or [""]
        two = rng.sample(words, min(2, len(words)))
        other = bundle.product(rng.randrange(len(bundle))).description.split()[:FIRST_WORDS]
        typed["brand"].append(product.attributes.get("brand") or words[0])
        typed["two words"].append(" ".join(two))
        typed["two words with errors"].append(" ".join(_with_error(rng, word) for word in two))
        typed["a wrong word"].append(rng.choice(other or [""]))
    return typed


def _with_error(rng: random.Random, word: str) -> str:
    """A word of four letters or more without one, with two exchanged, or with another one."""
    if len(word) < 4:
        return word
    place = rng.randrange(1, len(word) - 1)
    edits = (
        word[:place] + word[place + 1 :],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + rng.choice("aeiourstln") + word[place + 1 :],
    )
    return rng.choice(edits)


def text_cosines(rule: Analyser, words: list[str], texts: list[str]) -> NDArray[np.float64]:
    """Cosines t of words and texts, (Q, N)."""
    vectorizer = TfidfVectorizer(analyzer=rule, sublinear_tf=True)
    vectors = vectorizer.fit_transform(texts)
    cosines: NDArray[np.float64] = (vectorizer.transform(words) @ vectors.T).toarray()
    return cosines


def visual_similarities(
    queries: list[Query], bundle: IndexBundle, engine: EngineChoice
) -> tuple[list[Query], NDArray[np.float64]]:
    """The queries that can be read, and eq. (8) with every product, (Q, N)."""
    _, described = describe_images([query.image for query in queries], bundle, engine)
    read = [
        (q, d) for q, d in zip(queries, described, strict=True) if not isinstance(d, ImageError)
    ]
    cosines = np.stack(
        [
            np.stack([d[n] for _, d in read]).astype(np.float64) @ matrix.T.astype(np.float64)
            for n, matrix in enumerate(bundle.descriptors)
        ],
        axis=-1,
    )
    return [query for query, _ in read], fused_similarity(
        cosines, list(bundle.profile.alphas.values())
    )


def mean_ap(similarities: NDArray[np.float64], queries: list[Query], bundle: IndexBundle) -> float:
    """mAP@7 (gt) of the rankings by similarities (Q, N)."""
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :RESULTS]
    found = [
        average_precision([bundle.product_id(int(row)) for row in rows], query.relevant).gt
        for rows, query in zip(order, queries, strict=True)
    ]
    return float(np.mean(found))


def main() -> None:
    """Rate the rules, then the strengths of ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"))
    options = parser.parse_args()
    bundle = open_index(options.index)
    queries = read_ground_truth(options.dataset, IndexDatabase(bundle)).by_image()
    queries, visual = visual_similarities(queries, bundle, EngineChoice(options.model_repository))
    products = [bundle.product(row) for row in range(len(bundle))]
    texts = [bundle.manifest.words.text_of(p.description, p.attributes) for p in products]
    typed = typed_words(queries, bundle)
    columns = [f"{rule}, β = 1" for rule in RULES]
    columns += [f"{OURS}, β = {beta:g}" for beta in BETAS if beta != 1]
    rated: dict[str, dict[str, float]] = {column: {} for column in columns}
    for kind, words in typed.items():
        for rule, analyser in RULES.items():
            cosines = text_cosines(analyser, words, texts)
            for beta in BETAS if rule == OURS else (1.0,):
                column = f"{rule}, β = {beta:g}"
                rated[column][kind] = mean_ap(visual * (1 + beta * cosines), queries, bundle)
    baseline = mean_ap(visual, queries, bundle)
    table = Table(
        title=f"{options.dataset.resolve().name}: mAP@7 (gt) of {len(queries)} queries, "
        f"{baseline:.4f} without words"
    )
    table.add_column("rule")
    for kind in typed:
        table.add_column(kind, justify="right")
    for column, ratings in rated.items():
        table.add_row(column, *(f"{ratings[kind]:.4f}" for kind in typed))
    Console(width=120).print(table)
    sys.stdout.write(json.dumps({"baseline": baseline, "rated": rated}) + "\n")


if __name__ == "__main__":
    main()
