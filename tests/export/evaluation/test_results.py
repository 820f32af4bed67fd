"""From ratings to rows, words, tables: a worked example, and what must not be claimed."""

import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from export.evaluation.html import evaluation_page
from export.evaluation.markdown import evaluation_markdown
from export.evaluation.metrics import average_precision, hit_at_1, ranks_of, recall
from export.evaluation.results import Evaluation, RatedQuery, Rating
from export.evaluation.sections import conclusions, sections
from export.evaluation.significance import Interval
from export.evaluation.statistics import categories_of, rows_of, words_changes
from export.evaluation.terminal import evaluation_table

METHODS = (("baseline", None), ("k = 3", 3))


def rated(name, relevant, *rankings, item=0, category=None):
    """A query rated on rankings written as strings of one-letter ids."""
    ratings = tuple(
        Rating(
            average_precision(ranking, relevant),
            recall(ranking, relevant),
            hit_at_1(ranking, relevant),
            ranks_of(ranking, relevant),
        )
        for ranking in rankings
    )
    return RatedQuery(name, item, category, len(relevant), ratings)


def evaluation_of(queries, methods=METHODS, **further):
    values = {
        "dataset": "made up",
        "index_version": "tiny-0",
        "profile": "tiny",
        "products": 26,
        "queries": len(queries),
        "items": len({query.item for query in queries}),
        "unreadable": {},
        "rows": tuple(rows_of(methods, queries)),
        "detailed": methods[-1][0],
        "categories": tuple(categories_of([m for m, _ in methods], methods[-1][0], queries)),
        "words": (),
        "text_weight": 1.0,
        "rated_queries": tuple(queries),
        "where": (),
        "searched": 26,
        "unanswerable": 0,
        "by_product": False,
        "group_by": None,
        "warnings": (),
    }
    return Evaluation(**{**values, **further})


FOUR = [
    # AP (gt): (1/1 + 2/4) / 2 = 0.75, then (1 + 2/2) / 2 = 1
    rated("up", "ab", "axxbxxx", "abxxxxx", item=0),
    # (1/2) / 1 = 0.5, then 1/4 = 0.25
    rated("down", "c", "xcxxxxx", "xxxcxxx", item=1),
    # 1/1 / 3 = 1/3 both times; hits: 1
    rated("same", "def", "dxxxxxx", "dxxxxxx", item=2),
    # nothing, then 1/7
    rated("late", "g", "xxxxxxx", "xxxxxxg", item=3),
]


def test_a_row_is_the_mean_over_queries_worked_by_hand():
    baseline, refined = rows_of(METHODS, FOUR)

    assert baseline.map_at_7.gt == pytest.approx((0.75 + 0.5 + 1 / 3 + 0) / 4)
    assert refined.map_at_7.gt == pytest.approx((1 + 0.25 + 1 / 3 + 1 / 7) / 4)
    assert baseline.map_at_7.hits == pytest.approx((0.75 + 0.5 + 1 + 0) / 4)
    assert refined.map_at_7.hits == pytest.approx((1 + 0.25 + 1 + 1 / 7) / 4)
    assert baseline.recall_at_7 == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
    assert refined.recall_at_7 == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)
    assert baseline.hit_at_1 == refined.hit_at_1 == 0.5
    assert (baseline.improved_percent, baseline.impaired_percent) == (None, None)
    assert (refined.improved_percent, refined.impaired_percent) == (50.0, 25.0)


def test_a_difference_carries_its_test_worked_by_hand():
    _, refined = rows_of(METHODS, FOUR)
    gt = refined.against_baseline["gt"]

    assert gt.difference == pytest.approx((0.25 - 0.25 + 0 + 1 / 7) / 4)
    # Of the 8 sign patterns of (1/4, -1/4, 1/7), those with |sum| ≥ 1/7: all of them.
    assert gt.p_value == gt.adjusted_p_value == 1.0
    assert gt.verdict == "noise"
    assert gt.interval.low < 0 < gt.interval.high


def test_a_gain_of_few_queries_is_called_noise():
    queries = [rated(f"q{i}", "a", "xxa", "axx" if i < 5 else "xxa", item=i) for i in range(60)]

    _, refined = rows_of(METHODS, queries)

    assert refined.against_baseline["gt"].p_value == 2 / 2**5
    assert refined.against_baseline["gt"].verdict == "noise"
    assert conclusions(evaluation_of(queries)) == [
        "By gt, the difference is within noise at k = 3.",
        "By hits, the difference is within noise at k = 3.",
    ]


def test_many_comparisons_are_corrected_together():
    # Six gains of six: p = 2/2^6 = 0.031 alone, × 3 where three rows are looked at.
    rankings = ("xxa", "axx", "axx", "axx")
    queries = [rated(f"q{i}", "a", *rankings, item=i) for i in range(6)]
    methods = (("baseline", None), ("k = 3", 3), ("k = 2", 2), ("k = 1", 1))

    _, *alone = rows_of(methods[:2], queries)
    _, *together = rows_of(methods, queries)

    assert alone[0].against_baseline["gt"].verdict == "gain"
    for row in together:
        assert row.against_baseline["gt"].p_value == 1 / 32
        assert row.against_baseline["gt"].adjusted_p_value == 3 / 32
        assert row.against_baseline["gt"].verdict == "noise"


def test_gain_by_one_convention_and_loss_by_the_other_are_both_said():
    # One of three found first: perfect by hits. A second one, found last, costs by hits.
    queries = [rated(f"q{i}", "abc", "axxxxxx", "axxxxxb", item=i) for i in range(12)]

    assert conclusions(evaluation_of(queries)) == [
        "By gt, refinement gains at k = 3.",
        "By hits, refinement loses at k = 3.",
    ]


def test_photos_of_one_item_are_one_witness():
    one = [rated(f"q{i}", "a", "xxa", "axx", item=0) for i in range(12)]
    many = [rated(f"q{i}", "a", "xxa", "axx", item=i) for i in range(12)]

    assert rows_of(METHODS, one)[1].against_baseline["gt"].verdict == "noise"
    assert rows_of(METHODS, one)[1].intervals.gt is None
    assert rows_of(METHODS, many)[1].against_baseline["gt"].verdict == "gain"


def test_categories_are_worked_by_hand_and_the_largest_comes_first():
    queries = [
        rated("a", "a", "xa", "ax", item=0, category="Skin"),
        rated("b", "b", "b", "b", item=1, category="Hair"),
        rated("c", "c", "xc", "xxxc", item=2, category="Hair"),
        rated("d", "d", "d", "d", item=3),
    ]

    hair, skin, others = categories_of(("baseline", "k = 3"), "k = 3", queries)

    assert (hair.name, hair.queries, hair.items) == ("Hair", 2, 2)
    assert hair.map_at_7 == {"baseline": 0.75, "k = 3": 0.625}
    assert hair.difference == -0.125
    assert hair.interval == Interval(-0.25, 0.0)
    assert (skin.name, skin.difference, skin.interval) == ("Skin", 0.5, None)
    assert (others.name, others.queries) == ("others", 1)


def test_what_words_change_is_compared_with_the_same_refinement_without_them():
    """Twelve queries of hair gain from 1/2 to 1, and six of skin lose from 1 to 1/2."""
    methods = (("baseline", None), ("k = 3", 3), ("read words", None), ("read words, k = 3", 3))
    hair = [
        rated(f"h{i}", "a", "xxa", "xa", "ax", "ax", item=i, category="Hair") for i in range(12)
    ]
    skin = [
        rated(f"s{i}", "b", "xb", "bx", "xxb", "xb", item=20 + i, category="Skin") for i in range(6)
    ]

    changed = words_changes("read words", (1, 3), [*hair, *skin])

    assert [(each.category, each.queries) for each in changed] == [
        (None, 18), ("Hair", 12), ("Skin", 6),
    ]  # fmt: skip
    assert [(each.without, each.with_words) for each in changed] == [
        (pytest.approx(2 / 3), pytest.approx(5 / 6)), (0.5, 1.0), (1.0, 0.5),
    ]  # fmt: skip
    everything, up, down = (each.change for each in changed)
    assert everything.difference == pytest.approx(1 / 6)
    assert (up.difference, up.verdict) == (0.5, "gain")
    assert (down.difference, down.p_value, down.verdict) == (-0.5, 2 / 2**6, "noise")
    assert down.adjusted_p_value > down.p_value
    queries = [*hair, *skin]
    evaluation = evaluation_of(
        queries, methods, detailed="k = 3", words=tuple(changed), text_weight=0.5
    )
    shown = sections(evaluation)
    by_category = next(each for each in shown if each.title.startswith("What read words change"))
    assert [row[0].text for row in by_category.rows] == ["all", "Hair", "Skin"]
    assert [row[-1].text for row in by_category.rows] == ["noise", "gain", "noise"]
    assert shown[-1].title == "Queries that changed most, read words, k = 3"
    assert "before: k = 3. 12 queries gained, 6 lost" in shown[-1].notes[0]
    assert any("with β = 0.5;" in note for note in shown[0].notes)
    verdicts = [each["change"]["verdict"] for each in evaluation.to_json()["words"]]
    assert verdicts == ["noise", "gain", "noise"]


def test_too_many_categories_are_cut_to_the_first_part_of_their_paths():
    def named(names):
        queries = [rated(f"q{i}", "a", "a", "a", item=i, category=c) for i, c in enumerate(names)]
        found = categories_of(("baseline", "k = 3"), "k = 3", queries)
        return {category.name: category.queries for category in found}

    few = [f"Care/{i}" for i in range(12)]
    assert named(few) == dict.fromkeys(few, 1)
    assert named([*few, "Make-up > Lips"]) == {"Care": 12, "Make-up": 1}
    letters = list("ABCDEFGHIJKLMNOP")
    assert named([*letters, "P"]) == {"P": 2, **dict.fromkeys("ABCDEFGHIJK", 1), "others": 4}
    assert named([None, None]) == {}


def test_the_queries_that_changed_most_are_named_with_what_moved():
    queries = [
        *FOUR,
        rated("both", "hi", "hxxxxxi", "xxhixxx", item=4),  # 9/14 to 5/12
    ]

    section = sections(evaluation_of(queries))[-1]

    shown = [tuple(cell.text for cell in row) for row in section.rows]
    assert shown == [
        ("up", "0.750", "1.000", "b 4 → 2"),
        ("late", "0.000", "0.143", "g - → 7"),
        ("down", "0.500", "0.250", "c 2 → 4"),
        ("both", "0.643", "0.417", "h 1 → 3, i 7 → 4"),
    ]
    assert "2 queries gained, 2 lost" in section.notes[0]


def test_categories_appear_only_where_the_catalogue_has_them():
    assert len(sections(evaluation_of(FOUR))) == 3
    assert len(sections(evaluation_of([rated("a", "a", "a", "a", category="Hair")]))) == 4


def hostile():
    """An evaluation whose every name means something to HTML and Markdown."""
    queries = [
        rated("<b>|`q`.jpg", "a", "xa", "ax", item=0, category="<script>alert(1)</script>"),
        rated("[x](y)_*.jpg", "b", "bx", "xb", item=1, category="A|B"),
    ]
    return evaluation_of(
        queries, dataset="<img src=x>", warnings=("<i>random",), unreadable={"a&b<.jpg": "is <b>."}
    )


def test_the_table_fits_80_columns_and_shows_interval_and_verdict():
    queries = [rated(f"q{i}", "abc", "axxxxxx", "axxxxxb", item=i) for i in range(12)]
    console = Console(width=80, record=True, file=io.StringIO())

    console.print(evaluation_table(evaluation_of(queries)))

    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"k = 3 .* \+0\.095238 .* <0\.001 .* gain .* -0\.357143 .* loss", text)
    assert "+0.095…+0.095" in text
    assert "12 items the intervals are rough" in text


class Balanced(HTMLParser):
    """Checks that every element is closed, and collects the tags and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_in_itself_and_names_mean_nothing_to_it():
    page = evaluation_page(hostile())
    parser = Balanced()
    parser.feed(page)

    assert parser.open == []
    assert not {"script", "img", "link", "iframe", "b", "i"} & set(parser.tags)
    assert "http" not in page
    assert "url(" not in page
    text = " ".join(parser.text)
    for part in ("<b>|`q`.jpg", "<script>alert(1)</script>", "<i>random", "a&b<.jpg", "verdict"):
        assert part.lower() in text.lower()
    assert page.count("<circle") == 2  # one row, by both conventions


def test_markdown_has_the_same_cells_in_every_row_and_escapes_names():
    text = evaluation_markdown(hostile())

    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert r"\<b>\|\`q\`.jpg" in text
    assert r"\[x](y)\_\*.jpg" in text
    assert text.startswith("### ")
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_json_holds_every_query_and_the_verdicts():
    values = json.loads(json.dumps(evaluation_of(FOUR).to_json(), allow_nan=False))

    refined = values["rows"][1]
    assert refined["against_baseline"]["gt"]["verdict"] == "noise"
    assert set(refined["intervals"]["gt"]) == {"low", "high"}
    assert values["rows"][0]["against_baseline"] is None
    assert values["rated_queries"][0]["ratings"][1]["ranks"] == {"a": 1, "b": 2}
