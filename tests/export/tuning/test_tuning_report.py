"""The report of a tuning: pictures, table and advice."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from export.evaluation.search_notes import BY_PRODUCT
from export.evaluation.terminal import sections_table
from export.models.profiles import LITE
from export.tuning.described_dataset import text_neighbours
from export.tuning.grid import Grid
from export.tuning.grid_ratings import GridRatings
from export.tuning.heat_maps import heat_maps
from export.tuning.html import tuning_page
from export.tuning.sections import tuned_settings, tuning_sections
from tests.support.export.small_grid import SMALL_GRID


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


def test_the_report_says_whether_products_were_rated(tuning):
    described = tuning.described
    by_product = replace(described, truth=replace(described.truth, by_product=True))

    for rated, is_said in ((tuning, False), (replace(tuning, described=by_product), True)):
        notes = [note for section in tuning_sections(rated) for note in section.notes]
        assert (BY_PRODUCT in notes) == is_said == rated.to_json()["by_product"]


def test_a_heat_map_goes_through_the_chosen_setting(described):
    grid = replace(SMALL_GRID, text_weights=(1.0, 2.0))
    neighbours = text_neighbours(described.products, grid.thresholds)
    ratings = GridRatings(described, neighbours, grid.keeps, np.zeros(8, np.int64))
    setting = replace(grid.default, keep=1)

    by_pooling, by_alpha, by_text_weight, by_refinement = heat_maps(
        ratings, list(grid.initial_stages()), setting, grid
    )

    def value(part, row, column):
        return part.values[part.rows.index(row)][part.columns.index(column)]

    expected = ratings.ratings(setting).mean()
    assert value(by_alpha, "3", "1") == pytest.approx(expected)
    assert value(by_refinement, "0.6", "1") == pytest.approx(expected)
    assert value(by_text_weight, "1", "1") == value(by_text_weight, "2", "1") == expected
    assert value(by_pooling, "grmac-p1", "64") >= expected
    assert (by_alpha.row_name, by_alpha.column_name) == ("α of small_a_grmac", "α of small_b_grmac")
    swapped = replace(setting, initial=replace(setting.initial, alphas=(1.0, 1.0)))
    assert value(by_alpha, "1", "1") == pytest.approx(ratings.ratings(swapped).mean())


def test_a_choice_at_the_edge_of_the_grid_is_said():
    grid = Grid.of(LITE)
    setting = replace(grid.default, threshold=0.8)

    assert grid.edges(grid.default) == []
    assert grid.edges(setting) == ["--threshold 0.8"]
    assert grid.edges(replace(setting, keep=7)) == []
    weak = replace(setting.initial, text_weight=0.0)
    assert grid.edges(replace(setting, initial=weak, keep=7)) == []  # nothing is weaker
    strong = replace(setting.initial, text_weight=4.0)
    assert grid.edges(replace(setting, initial=strong, keep=7)) == ["--text-weight 4"]
    wide = replace(setting.initial, side=480, alphas=(8.0, 1.0))
    assert grid.edges(replace(setting, initial=wide)) == [
        "--side 480", "--alpha 8", "--threshold 0.8",
    ]  # fmt: skip


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
