"""Query expansion, database-side augmentation and white-out: by hand, and as a table."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from export import cli
from export.evaluation.terminal import sections_table
from export.models.pooling_choice import PoolingChoice
from export.models.profiles import profile_toml
from export.tuning.augmentation import augmented_database, expanded, fused
from export.tuning.described_dataset import describe_dataset, text_neighbours
from export.tuning.evaluate_augmentation import PLAIN, evaluate_augmentation
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.pooling_sweep import PoolingSweep
from tests.support.export.small_networks import SEED, SMALL, WEIGHTS


def rows(*vectors):
    return np.array(vectors, np.float32)


def test_a_query_is_pulled_towards_its_two_best_results():
    query, database = rows([1, 0]), rows([0, 1], [0.6, 0.8], [1, 0])

    (found,) = expanded([query], [database], np.array([[2, 1, 0]]))

    # 1 · (1, 0) + 2/3 · (1, 0) + 1/3 · (0.6, 0.8) = (28, 4) / 15; its length is 4 √50 / 15
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[7, 1]]) / np.sqrt(50), abs=1e-7)


def test_each_backbone_is_expanded_by_itself_with_the_neighbours_of_all():
    queries = [rows([1, 0]), rows([0, 1])]
    database = [rows([0, 1], [1, 0]), rows([1, 0], [0, 1])]

    first, second = expanded(queries, database, np.array([[0, 1]]))

    # (1, 0) + 2/3 (0, 1) + 1/3 (1, 0) = (4, 2) / 3; the other one mirrored
    assert first == pytest.approx(np.array([[2, 1]]) / np.sqrt(5), abs=1e-7)
    assert second == pytest.approx(np.array([[1, 2]]) / np.sqrt(5), abs=1e-7)


def test_a_database_image_is_no_neighbour_of_itself():
    database = rows([1, 0], [0.8, 0.6], [0, 1])

    done = []
    (found,) = augmented_database([database], (1.0,), done.append)

    # nearest of (1, 0): (0.8, 0.6), then (0, 1); of (0.8, 0.6): (1, 0) with 0.8, then (0, 1)
    # with 0.6; of (0, 1): (0.8, 0.6), then (1, 0)
    sums = np.array(
        [
            [1 + 2 / 3 * 0.8, 2 / 3 * 0.6 + 1 / 3],
            [0.8 + 2 / 3, 0.6 + 1 / 3],
            [2 / 3 * 0.8 + 1 / 3, 1 + 2 / 3 * 0.6],
        ]
    )
    assert found == pytest.approx(sums / np.linalg.norm(sums, axis=1, keepdims=True), abs=1e-7)
    assert sum(done) == 3


def test_an_equal_image_is_a_neighbour_and_zero_stays_zero():
    database = rows([1, 0], [1, 0], [0, 0])

    (found,) = augmented_database([database], (1.0,), lambda _: None)

    assert found == pytest.approx(rows([1, 0], [1, 0], [0, 0]))


def test_neighbours_are_ranked_by_the_fused_similarity():
    database = [rows([1, 0], [1, 0], [0, 1]), rows([1, 0], [0, 1], [1, 0])]

    by_first = augmented_database(database, (3.0, 1.0), lambda _: None)[0][0]
    by_second = augmented_database(database, (1.0, 3.0), lambda _: None)[0][0]

    # similarities of row 0 to rows 1 and 2: (1 + 3)(1) and (1)(1 + 1), or the other way round
    assert by_first == pytest.approx(np.array([5, 1]) / np.sqrt(26), abs=1e-7)
    assert by_second == pytest.approx(np.array([4, 2]) / np.sqrt(20), abs=1e-7)


def test_blocks_of_the_database_give_what_the_whole_gives(monkeypatch):
    rng = np.random.default_rng(0)
    database = [rng.normal(size=(50, 8)).astype(np.float32) for _ in range(2)]
    database = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in database]
    whole = augmented_database(database, (3.0, 1.0), lambda _: None)

    monkeypatch.setattr("export.tuning.augmentation.BLOCK_ROWS", 7)
    in_blocks = augmented_database(database, (3.0, 1.0), lambda _: None)

    similarities = fused(database, database, (3.0, 1.0))
    for row in range(50):
        first, second = [n for n in np.argsort(-similarities[row]) if n != row][:2]
        for part, found in zip(database, in_blocks, strict=True):
            total = part[row] + part[first] * 2 / 3 + part[second] / 3
            assert found[row] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(whole, in_blocks, strict=True))


ONE = replace(SMALL, name="one", backbones=SMALL.backbones[:1])


@pytest.fixture(scope="module")
def small_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_the_table_compares_each_method_with_the_profile_as_it_is(tiny_catalogue, small_cache):
    sweep = PoolingSweep(small_cache, WEIGHTS)
    pooling = PoolingChoice("grmac", 1.0)
    described = describe_dataset(tiny_catalogue, ONE, (64,), (pooling,), sweep)

    report = evaluate_augmentation(described, sweep, keep=2, threshold=0.6)

    neighbours = text_neighbours(described.products, (0.6,))
    ratings = GridRatings(described, neighbours, (2, 7), np.zeros(8, np.int64))
    refined, initial = ratings.sums(Grid.of(ONE).default.initial)[0, :, 0] / 8
    by_method = {(row.method, row.keep): row for row in report.rows}
    assert by_method[PLAIN, None].map_at_7 == pytest.approx(initial)
    assert by_method[PLAIN, 2].map_at_7 == pytest.approx(refined)
    assert len(report.rows) == 12
    for (method, keep), row in by_method.items():
        if method != PLAIN:
            gain = row.map_at_7 - by_method[PLAIN, keep].map_at_7
            assert row.gain.difference == pytest.approx(gain)
            assert row.gain.adjusted_p_value >= row.gain.p_value
    assert len({round(row.map_at_7, 9) for row in report.rows}) > 2  # they do something
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sections_table([report.section()]))
    text = console.export_text()
    for method in (PLAIN, "query expansion", "database-side", "white-out", "k = 2"):
        assert method in text


def test_the_command_prints_the_table_as_json(
    tiny_catalogue, small_cache, tmp_path, monkeypatch, capsys
):
    (tmp_path / "one.toml").write_text(profile_toml(ONE))
    command = [
        "augmentation", tiny_catalogue, "--profile", tmp_path / "one.toml", "--keep", 2,
        "--random-seed", SEED, "--cache", small_cache, "--json",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["beauty-export", *map(str, command)])

    with pytest.raises(SystemExit) as stop:
        cli.main()

    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert stop.value.code == 0
    assert (report["queries"], report["products"], report["threshold"]) == (8, 40, 0.6)
    assert {row["keep"] for row in report["rows"]} == {None, 2}
    assert "the weights are random" in shown.err
