"""Feeds as other programs export them: the plain catalogue's index, or one line that says why not.

``make try-feeds`` prints the same trials with the real models.
"""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import tests.support.export.feeds.__main__ as feeds
from tests.support.export.feeds.dialect import PLAIN, Content, Dialect, constant, csv_file
from tests.support.export.feeds.dialects import DIALECTS
from tests.support.export.feeds.trial import Trials

PROGRAMS = (
    *("Shopify", "WooCommerce", "Magento", "Google Merchant", "Excel", "LibreOffice"),
    *("pandas", "Spark", "Hugging Face", "Hive", "MySQL"),
)


@pytest.fixture(scope="module")
def trials(
    sample: Path,
    tiny_profile_file: Path,
    tiny_repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trials:
    models = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    return Trials(tmp_path_factory.mktemp("feeds") / "trials", sample, models)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_feed_gives_the_plain_catalogues_index_or_one_clear_line(
    trials: Trials, dialect: Dialect
) -> None:
    assert trials.result(dialect).wrong == ""


def test_the_feeds_are_those_of_many_programs_and_each_has_its_own_name() -> None:
    names = [dialect.name for dialect in DIALECTS]
    assert len(set(names)) == len(names) >= 40
    for program in PROGRAMS:
        assert any(name.startswith(program) for name in names), program


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (lambda rows: csv_file()(rows[1:]), "27 products instead of 28"),
        (
            lambda rows: csv_file()([*rows[1:], rows[0]]),
            "row 1: product_id '1047' instead of '1033'",
        ),
        (csv_file({**PLAIN, "price": constant("9.99")}), "row 1: attributes"),
        (csv_file({**PLAIN, "image": constant("images/s0033.jpg")}), "row 2: image"),
        (lambda rows: csv_file()(rows).replace(b"Clove", b"clove"), "row 4: description"),
        (csv_file({**PLAIN, "brand": constant("")}), "row 1: attributes"),
        (csv_file({**PLAIN, "id": constant("1")}), "expected the plain catalogue's index: error: "),
    ],
    ids=["a lost row", "another order", "a price", "an image", "a word", "a brand", "refused"],
)
def test_a_feed_that_gives_anything_else_is_found(
    trials: Trials, content: Content, finding: str
) -> None:
    result = trials.result(Dialect(name="wrong", content=content))
    assert finding in result.wrong


def test_other_images_under_the_same_names_are_found(trials: Trials) -> None:
    paths = [row["image"] for row in trials.rows]
    moved = dict(zip(paths, paths[1:] + paths[:1], strict=True))
    dialect = Dialect(name="wrong", content=csv_file(), image=lambda row: moved[row["image"]])
    assert "another descriptors.tiny_a.npy" in trials.result(dialect).wrong


@pytest.mark.parametrize(
    ("refused", "finding"),
    [
        ("gzip", "the line lacks /gzip/: error: catalog.csv has"),
        ("", "expected the plain"),
    ],
)
def test_a_refusal_that_does_not_name_what_it_should_is_found(
    trials: Trials, refused: str, finding: str
) -> None:
    dialect = Dialect(name="wrong", content=csv_file({"sku": PLAIN["id"]}), refused=refused)
    assert trials.result(dialect).wrong.startswith(finding)


def test_a_feed_that_is_taken_and_should_be_refused_is_found(trials: Trials) -> None:
    dialect = Dialect(name="wrong", content=csv_file(), refused="image")
    assert trials.result(dialect).wrong == "an index was built; expected a refusal"


def test_the_table_shows_every_outcome_and_the_status_whether_one_is_wrong(
    sample: Path, tiny_profile_file: Path, tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Dialect(name="plain", content=csv_file())
    refused = Dialect(name="empty", content=lambda _: b"", refused="column|empty")
    wrong = Dialect(name="lossy", content=lambda rows: csv_file()(rows[1:]))
    models = ("--profile", tiny_profile_file, "--model-repository", tiny_repository)
    command = typer.Typer(pretty_exceptions_enable=False)
    command.command()(feeds.try_feeds)

    monkeypatch.setattr(feeds, "DIALECTS", (right, refused))
    done = CliRunner().invoke(command, [str(sample), *map(str, models)])
    assert (done.exit_code, "WRONG" in done.stdout) == (0, False), done.output
    assert (
        "2 dialects: 1 give the plain catalogue's index, 1 one clear line, 0 wrong" in done.stdout
    )
    monkeypatch.setattr(feeds, "DIALECTS", (right, refused, wrong))
    done = CliRunner().invoke(command, [str(sample), *map(str, models)])
    assert (done.exit_code, "WRONG: 27 products" in done.stdout) == (1, True), done.output
