"""Tuning: ratings by the real index and search once more, and folds that keep their secrets."""

import asyncio
import base64
import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from export import cli
from export.dataset.catalogue import read_catalogue
from export.dataset.ground_truth import Query
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.metrics import average_precision
from export.evaluation.terminal import sections_table
from export.index.build import IndexBuild
from export.models.build_model_repository import export_profile
from export.models.pooling_choice import PoolingChoice
from export.models.profiles import LITE, PAPER, find_profile, profile_toml
from export.text_index.settings import TextSettings
from export.tuning.cross_validation import best_setting, cross_validate, folds_of
from export.tuning.described_dataset import cosine_matrix, describe_dataset, text_neighbours
from export.tuning.grid import MOST_ALPHAS, Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.heat_maps import heat_maps
from export.tuning.html import tuning_page
from export.tuning.pooling_sweep import PoolingSweep
from export.tuning.rate_settings import RowLists, best_rows, rate_settings
from export.tuning.sections import tuned_settings, tuning_sections
from export.tuning.setting import SUM, InitialStage, Setting
from export.tuning.tune import CHOSEN, tune
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.errors import CatalogueError
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import read_image
from retrieval_server.models.profile import Backbone, Profile
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.support.small_networks import SEED, SMALL, WEIGHTS

GRMAC, GEM, SPOC = PoolingChoice("grmac", 1.0), PoolingChoice("gem", 3.0), PoolingChoice("spoc")
SMALL_GRID = Grid.of(
    SMALL, sides=(64,), poolings=(GRMAC, SPOC), alphas=(1.0,), keeps=(1, 7), thresholds=(0.4,)
)


@pytest.fixture(scope="module")
def described(tiny_catalogue, tmp_path_factory):
    sweep = PoolingSweep(tmp_path_factory.mktemp("cache"), WEIGHTS)
    return describe_dataset(tiny_catalogue, SMALL, SMALL_GRID.sides, SMALL_GRID.poolings, sweep)


@pytest.fixture(scope="module")
def tuning(described):
    return tune(described, SMALL_GRID, folds=4, seed=0)


def searched(bundle, repository, dataset, keep):
    """Average precision of each query by index, engine and search."""
    engine = create_engine(
        "embedded", repository, bundle.profile.name, workers=1, threads_per_run=1
    )
    retriever = Retriever(bundle, engine)
    with (dataset / "ground_truth.csv").open(encoding="utf-8") as file:
        queries = list(csv.DictReader(file))

    async def rated():
        found = []
        for query in queries:
            pixels = read_image(dataset / query["query_image"], bundle.profile.side)
            result = retriever.search(await retriever.encode(pixels), SearchParameters(keep=keep))
            ids = [bundle.product_id(match.row) for match in result.matches]
            found.append(average_precision(ids, query["ids"].split()).gt)
        await engine.close()
        return found

    return asyncio.run(rated())


def test_a_point_of_the_grid_is_what_index_and_search_give(
    described, tuning, tiny_catalogue, tmp_path
):
    settings = [
        SMALL_GRID.default,
        Setting(
            initial=InitialStage(side=64, poolings=(SPOC, GRMAC), alphas=(0.5, 4.0)),
            keep=1,
            threshold=0.4,
        ),
        Setting(
            initial=InitialStage(side=64, poolings=(GRMAC, SPOC), alphas=(0.0, 1.0)),
            keep=7,
            threshold=0.4,
        ),
    ]
    ratings = GridRatings(
        described,
        text_neighbours(described.products, (0.6, 0.4)),
        (1, 3, 7),
        np.zeros(len(described.queries), np.int64),
    )
    for number, setting in enumerate(settings):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "profile.toml").write_text(profile_toml(setting.profile(SMALL)))
        profile = find_profile(str(folder / "profile.toml"))
        weights = {  # the same network under the name that its new pooling gave it
            backbone.model: WEIGHTS[SMALL.models[place]]
            for place, backbone in zip(setting.initial.used, profile.backbones, strict=True)
        }
        export_profile(profile, folder / "models", weights)
        text = TextSettings(threshold=setting.threshold)
        catalogue = read_catalogue(tiny_catalogue)
        IndexBuild(
            catalogue, profile, EngineChoice(folder / "models"), folder / "index", text=text
        ).run()

        expected = searched(
            open_index(folder / "index"), folder / "models", tiny_catalogue, setting.keep
        )
        assert ratings.ratings(setting).tolist() == expected, setting
        place = ratings.thresholds.index(setting.threshold), ratings.keeps.index(setting.keep)
        assert ratings.sums(setting.initial)[place].sum() == pytest.approx(sum(expected))
    assert len({tuple(ratings.ratings(setting)) for setting in settings}) == 3
    assert tuning.default == ratings.ratings(SMALL_GRID.default).mean()


@pytest.mark.parametrize("copies", [1, 3], ids=["distinct", "ties"])
def test_the_compiled_refinement_is_that_of_the_search(tiny_index, tiny_repository, copies):
    bundle = open_index(tiny_index)
    engine = create_engine("embedded", tiny_repository, "tiny", workers=1, threads_per_run=1)
    retriever = Retriever(bundle, engine)
    rng = np.random.default_rng(3)
    database = [np.array(part) for part in bundle.descriptors]
    if copies > 1:  # rows with the same descriptors: ties go to the smaller row
        database = [part[np.arange(len(part)) // copies * copies] for part in database]
        retriever._search = type(retriever._search)(tuple(database))
    relevant = [sorted(rng.choice(40, rng.integers(1, 10), replace=False)) for _ in range(20)]
    queries = [rng.normal(size=(20, part.shape[1])).astype(np.float32) for part in database]
    queries = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in queries]
    keeps = (1, 2, 3, 6, 7, 9)
    stage = InitialStage(side=32, poolings=(SPOC, SPOC), alphas=(3.0, 1.0))
    lengths, rows, _ = bundle.text_index.lists(0, len(bundle))
    neighbours = RowLists(np.concatenate([[0], np.cumsum(lengths)]), rows.astype(np.int64))

    similarities = stage.similarities(
        [cosine_matrix(q, d) for q, d in zip(queries, database, strict=True)]
    )
    best = best_rows(similarities)
    rated = rate_settings(
        similarities, best, neighbours, RowLists.of(relevant), np.array(keeps, np.int64)
    )

    for query in range(20):
        vectors = tuple(part[query] for part in queries)
        for place, keep in enumerate(keeps):
            result = retriever.search(vectors, SearchParameters(keep=keep))
            ids = [str(match.row) for match in result.matches]
            expected = average_precision(ids, [str(row) for row in relevant[query]]).gt
            assert rated[place, query] == expected
        assert best[query].tolist() == [match.row for match in result.initial]
    asyncio.run(engine.close())


def test_a_database_of_few_products_is_ranked_whole():
    similarities = np.array([[0.1, 0.9, 0.9]])

    best = best_rows(similarities)
    rated = rate_settings(
        similarities, best, RowLists.of([[], [0], []]), RowLists.of([[0]]), np.array([1, 7])
    )

    assert best.tolist() == [[1, 2, 0]]
    assert rated[:, 0].tolist() == [1 / 2, 1 / 3]  # refinement lifts row 0 over row 2


class MadeUp:
    """Two kinds of queries, two backbones: each backbone finds the item of one kind only."""

    def __init__(self, kinds):
        """``kinds``: for each query the backbone that finds its item."""
        count = len(kinds)
        profile = Profile(
            name="made-up",
            side=64,
            backbones=tuple(
                Backbone(model=f"m{n}", timm_name="none", alpha=1.0, pooling="spoc") for n in (0, 1)
            ),
        )
        self.grid = Grid.of(
            profile, sides=(64,), poolings=(SPOC,), alphas=(1.0,), keeps=(7,), thresholds=(0.6,)
        )
        self.profile = profile
        self.queries = tuple(Query(f"q{n}", frozenset({f"p{n}"})) for n in range(count))
        self.items = list(range(count))
        self.relevant = RowLists.of([[n] for n in range(count)])
        self.kinds = np.array(kinds)

    def cosines(self, side, model, pooling):
        finds = self.kinds == int(model[1])
        found = np.eye(len(self.kinds)) * finds[:, None]
        return found + 0.5 * np.roll(np.eye(len(self.kinds)), 1, axis=1) * ~finds[:, None]

    def ratings(self, folds):
        none = RowLists.of([[]] * len(self.kinds))
        return GridRatings(self, {0.6: none}, (7,), np.array(folds))


def test_what_is_chosen_for_a_fold_does_not_depend_on_the_fold():
    # Fold 0 holds four queries of the second kind, which outnumber all others of either kind.
    kinds, folds = [1, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 2, 2]
    made_up = MadeUp(kinds)
    ratings = made_up.ratings(folds)
    singles = [stage for stage in made_up.grid.initial_stages() if stage.is_single]

    found = cross_validate(ratings, made_up.grid, singles, lambda _: None)

    assert found.setting.initial.used == (1,)  # five of nine
    assert [setting.initial.used for setting in found.chosen] == [(0,), (1,), (1,)]
    # fold 0 alone is rated with the first backbone, which finds none of its items first
    assert (found.held_out[:4] < 1).all()
    assert found.optimistic[:4].tolist() == [1, 1, 1, 1]
    assert found.held_out.mean() < found.optimistic.mean()

    turned = MadeUp([0, 0, 0, 0, *kinds[4:]])  # the fold's own truth changes
    again = cross_validate(turned.ratings(folds), turned.grid, singles, lambda _: None)
    assert again.chosen[0] == found.chosen[0]
    assert again.setting != found.setting


def test_other_poolings_of_one_backbone_are_tried_from_the_best_on(described):
    grid = SMALL_GRID
    neighbours = text_neighbours(described.products, grid.thresholds)
    folds = np.arange(len(described.queries)) % 2
    ratings = GridRatings(described, neighbours, grid.keeps, folds)
    stages = list(grid.initial_stages())

    best = best_setting(ratings, grid, stages, (0, 1))

    shared = {stage.poolings for stage in stages}
    assert shared == {(GRMAC, GRMAC), (SPOC, SPOC)}

    def value(stage):
        return max(ratings.sums(stage).sum(axis=-1).ravel())

    assert value(best.initial) >= max(value(stage) for stage in stages)
    for other in grid.other_poolings(best.initial):
        assert value(other) <= value(best.initial)


def test_the_photos_of_an_item_are_in_one_fold():
    items = [0, 1, 0, 2, 3, 3, 4, 5, 5, 5]

    folds = folds_of(items, 3, seed=1)

    assert sorted(set(folds)) == [0, 1, 2]
    assert all(len({f for f, i in zip(folds, items, strict=True) if i == item}) == 1
               for item in set(items))  # fmt: skip
    assert folds.tolist() == folds_of(items, 3, seed=1).tolist()
    assert folds.tolist() != folds_of(items, 3, seed=2).tolist()
    assert set(folds_of([0, 1, 1], 5, seed=0)) == {0, 1}
    with pytest.raises(CatalogueError, match="one item only"):
        folds_of([0, 0], 5, seed=0)


def test_a_wider_search_is_never_worse_on_its_own_queries(tuning):
    optimistic = {row.search_space: row.optimistic for row in tuning.rows}

    assert tuning.default <= optimistic["k, τ"] <= optimistic["k, τ, α"]
    assert optimistic["k, τ, α"] <= optimistic["all, eq. (8)"] <= optimistic[CHOSEN]
    assert optimistic["one backbone"] <= optimistic[CHOSEN]
    assert [row.search_space for row in tuning.rows][-1] == "all, sum"
    assert tuning.chosen.setting.initial.fusion != SUM
    for row in tuning.rows:
        assert len(row.by_fold) == tuning.folds == 4
        assert row.gain.difference == pytest.approx(row.held_out - tuning.default)
        assert row.gain.adjusted_p_value >= row.gain.p_value


def test_the_report_shows_the_grid_in_pictures_and_needs_nothing_else(tuning):
    page = tuning_page(tuning)

    pictures = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 1 + len(tuning.heat_maps)
    for _, data in pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(2**24)) > 10
    assert "http" not in page
    assert "<script" not in page
    assert "[[backbones]]" in page
    for part in tuning.heat_maps:
        assert np.array(part.values).shape == (len(part.rows), len(part.columns))
    best = max(max(row) for row in tuning.heat_maps[-1].values)
    assert best == pytest.approx(tuning.chosen.optimistic)


def test_a_heat_map_goes_through_the_chosen_setting(described):
    grid = SMALL_GRID
    neighbours = text_neighbours(described.products, grid.thresholds)
    ratings = GridRatings(described, neighbours, grid.keeps, np.zeros(8, np.int64))
    setting = replace(grid.default, keep=1)

    by_pooling, by_alpha, by_refinement = heat_maps(
        ratings, list(grid.initial_stages()), setting, grid
    )

    def value(part, row, column):
        return part.values[part.rows.index(row)][part.columns.index(column)]

    expected = ratings.ratings(setting).mean()
    assert value(by_alpha, "3", "1") == pytest.approx(expected)
    assert value(by_refinement, "0.6", "1") == pytest.approx(expected)
    assert value(by_pooling, "grmac-p1", "64") >= expected
    assert (by_alpha.row_name, by_alpha.column_name) == ("α of small_a_grmac", "α of small_b_grmac")
    swapped = replace(setting, initial=replace(setting.initial, alphas=(1.0, 1.0)))
    assert value(by_alpha, "1", "1") == pytest.approx(ratings.ratings(swapped).mean())


def test_a_profile_keeps_what_was_not_changed():
    default = Grid.of(LITE).default
    assert default.profile(LITE) == LITE

    other = replace(default, initial=replace(default.initial, alphas=(2.0, 0.0)))
    assert other.profile(LITE) == Profile(
        name="lite-tuned", side=320, backbones=(replace(LITE.backbones[0], alpha=2.0),)
    )
    gem = replace(default, initial=default.initial.with_pooling(1, PoolingChoice("gem", 5.0)))
    first, second = gem.profile(LITE).backbones
    assert first == LITE.backbones[0]
    assert (second.model, second.p) == ("efficientnet_lite2_gem-p5_320", 5.0)
    larger = replace(default, initial=replace(default.initial, side=480)).profile(LITE)
    assert larger.models == (
        "efficientnet_lite0_grmac-p1_480", "efficientnet_lite2_grmac-p1_480",
    )  # fmt: skip


def test_one_network_twice_keeps_two_names():
    twice = replace(
        LITE,
        backbones=(
            LITE.backbones[0],
            replace(LITE.backbones[0], model="efficientnet_lite0_gem", pooling="gem"),
        ),
    )
    initial = InitialStage(side=320, poolings=(SPOC, SPOC), alphas=(1.0, 2.0))

    changed = Setting(initial=initial, keep=1, threshold=0.5).profile(twice)

    assert changed.models == ("efficientnet_lite0_spoc_320_0", "efficientnet_lite0_spoc_320_1")


def test_a_profile_written_as_toml_is_read_back(tmp_path):
    odd = Profile(
        name="odd",
        side=96,
        backbones=(
            Backbone(
                model="a",
                timm_name='na"me\\',
                alpha=0.1 + 0.2,
                p=2.5,
                mean=(0.1, 0.2, 0.3),
                std=(1.0, 1e-3, 1.0),
            ),
        ),
    )
    for profile in (LITE, PAPER, odd):
        (tmp_path / "p.toml").write_text(profile_toml(profile), encoding="utf-8")
        assert find_profile(str(tmp_path / "p.toml")) == profile


def test_the_default_grid_has_the_profile_s_own_values_first():
    grid = Grid.of(LITE)
    stages = list(grid.initial_stages())

    assert stages[0] == grid.default.initial
    assert grid.sides == (320, 224, 480)
    assert Grid.of(SMALL).sides == (64,)  # a map of smaller images would have too few cells
    assert (grid.keeps[0], grid.thresholds[0]) == (3, 0.6)
    assert len(set(stages)) == len(stages)
    assert {stage.alphas for stage in stages if stage.is_single} == {(3.0, 0.0), (0.0, 1.0)}
    ratios = {stage.alphas for stage in stages if stage.fusion == SUM}
    assert (1.0, 0.5) in ratios
    assert all(max(alphas) == 1 for alphas in ratios)  # only the ratio matters


def test_many_backbones_get_one_alpha_changed_at_a_time():
    five = replace(
        LITE,
        name="five",
        backbones=tuple(replace(LITE.backbones[0], model=f"m{n}") for n in "abcde"),
    )
    grid = Grid.of(five, sides=(64,), poolings=(SPOC,))

    alphas = {stage.alphas for stage in grid.initial_stages() if not stage.is_single}

    assert 5**5 > MOST_ALPHAS
    assert (3.0, 3.0, 8.0, 3.0, 3.0) in alphas
    assert (8.0, 8.0, 3.0, 3.0, 3.0) not in alphas


def test_one_backbone_has_no_alpha_to_tune():
    one = replace(LITE, name="one", backbones=LITE.backbones[:1])

    stages = list(Grid.of(one).initial_stages())

    assert {stage.alphas for stage in stages} == {(3.0,)}


def test_a_choice_at_the_edge_of_the_grid_is_said():
    grid = Grid.of(LITE)
    setting = replace(grid.default, threshold=0.8)

    assert grid.edges(grid.default) == []
    assert grid.edges(setting) == ["--threshold 0.8"]
    assert grid.edges(replace(setting, keep=7)) == []
    wide = replace(setting.initial, side=480, alphas=(8.0, 1.0))
    assert grid.edges(replace(setting, initial=wide)) == [
        "--side 480", "--alpha 8", "--threshold 0.8",
    ]  # fmt: skip


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["beauty-export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_the_command_prints_settings_that_a_profile_file_takes(
    tiny_catalogue, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(profile_toml(SMALL))
    command = [
        "tune", tiny_catalogue, "--profile", "small.toml", "--random-seed", SEED, "--side", 64,
        "--pooling", "spoc", "--alpha", 1, "--keep", 1, "--threshold", 0.4, "--folds", 2,
    ]  # fmt: skip

    written = ["--html", "page/report.html", "--save", "tuned.toml"]
    assert run(monkeypatch, *command, *written, "--json") == 0

    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert "the weights are random: results mean nothing" in shown.err
    settings = (tmp_path / "tuned.toml").read_text(encoding="utf-8")
    assert find_profile(str(tmp_path / "tuned.toml")) == Profile.from_json(
        found["chosen"]["profile"]
    )
    assert f"--default-keep {found['chosen']['keep']}\n" in settings
    assert f"--threshold {found['chosen']['threshold']:g}\n" in settings
    assert found["default"]["setting"]["keep"] == 3
    assert (tmp_path / "page" / "report.html").is_file()


def test_another_ground_truth_is_taken(tiny_catalogue, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(profile_toml(replace(SMALL, backbones=SMALL.backbones[1:])))
    lines = (tiny_catalogue / "ground_truth.csv").read_text().splitlines()
    (tmp_path / "queries").symlink_to(tiny_catalogue / "queries")
    (tmp_path / "half.csv").write_text("\n".join(lines[:5]))
    command = [
        tiny_catalogue, "--ground-truth", "half.csv", "--profile", "one.toml",
        "--random-seed", SEED, "--json",
    ]  # fmt: skip
    grid = ["--side", 64, "--pooling", "spoc", "--alpha", 1, "--keep", 1, "--threshold", 0.4]

    for name, options in (("tune", [*grid, "--folds", 2]), ("augmentation", [])):
        assert run(monkeypatch, name, *command, *options) == 0
        assert json.loads(capsys.readouterr().out)["queries"] == 4


def test_an_unreadable_image_counts_nowhere_or_is_named(tiny_catalogue, tmp_path):
    dataset = shutil.copytree(tiny_catalogue, tmp_path / "dataset")
    (dataset / "queries" / "q01.jpg").write_bytes(b"none")
    (dataset / "images" / "p0001.jpg").write_bytes(b"none")
    sweep = PoolingSweep(tmp_path / "cache", WEIGHTS)
    one = replace(SMALL, backbones=SMALL.backbones[1:])

    found = describe_dataset(dataset, one, (64,), (SPOC,), sweep)

    assert found.unreadable == ("q01.jpg",)
    assert found.rejected == 1
    assert [query.image.name for query in found.queries][:2] == ["q00.jpg", "q02.jpg"]
    with pytest.raises(CatalogueError, match=r"image of 'p0001', which .*q00\.jpg should find"):
        _ = found.relevant


def test_the_table_names_each_search_and_the_settings_follow(tuning):
    console = Console(width=80, record=True, file=io.StringIO())

    console.print(sections_table(tuning_sections(tuning)))

    text = console.export_text()
    assert "May change" in text
    assert text.count("…") == 2 * len(tuning.rows) + 1  # no interval is cut off
    for row in tuning.rows:
        assert f"{row.held_out:.6f}" in text
        assert f"{row.gain.difference:+.6f}" in text
        assert row.gain.verdict in text
        assert row.described.split(";")[1] in text
    text = tuned_settings(tuning)

    assert f"# Tuned on {tuning.described.name} (8 queries)" in text
    assert "beauty-export index ... --threshold" in text
    gained = replace(tuning.chosen.gain, difference=0.1, adjusted_p_value=0.01)
    rows = tuple(replace(row, gain=gained) if row is tuning.chosen else row for row in tuning.rows)
    assert tuning.chosen.gain.verdict == "noise"
    assert "By the test that is no gain" in text
    assert "no gain" not in tuned_settings(replace(tuning, rows=rows))
    assert "beauty-server ... --default-keep" in text
