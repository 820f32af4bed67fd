"""The paper's table on any folder: worked through once more by other means, and bad input."""

import io
import json
import math
import shutil

import numpy as np
import onnxruntime
import pytest
from rich.console import Console

from export import cli
from export.evaluate import evaluate
from retrieval_server.errors import CatalogueError, ModelMismatchError
from retrieval_server.index_bundle import open_index
from retrieval_server.preprocessing import read_image


@pytest.fixture
def dataset(tiny_catalogue, tmp_path):
    """A copy of the tiny catalogue's folder, to damage its ground truth."""
    return shutil.copytree(tiny_catalogue, tmp_path / "dataset")


def write_truth(dataset, *lines):
    (dataset / "ground_truth.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def own_map_at_7(bundle, repository, dataset, keep):
    """mAP@7 (gt) by loops: cosines with fsum, Algorithm 1 with lists, neighbours from the index."""
    lines = (dataset / "ground_truth.csv").read_text(encoding="utf-8").splitlines()[1:]
    total = 0
    for line in lines:
        query, ids = line.split(",")
        relevant = set(ids.split())
        image = read_image(dataset / query, bundle.profile.side)[None]
        scored = []
        for backbone, database in zip(bundle.profile.backbones, bundle.descriptors, strict=True):
            session = onnxruntime.InferenceSession(
                repository / backbone.model / "1" / "model.onnx",
                providers=["CPUExecutionProvider"],
            )
            q = session.run(None, {"image": image})[0][0]
            scored.append(
                [
                    1
                    + backbone.alpha
                    * math.fsum(float(a) * float(b) for a, b in zip(x, q, strict=True))
                    for x in database
                ]
            )
        similarity = [math.prod(factors) for factors in zip(*scored, strict=True)]
        ranking = sorted(range(len(similarity)), key=lambda row: (-similarity[row], row))
        result = ranking[:7]
        if keep is not None:
            subset = {n for row in ranking[:keep] for n in bundle.text_index.neighbours(row)[0]}
            again = [row for row in ranking if row in subset and row not in ranking[:keep]]
            result = (ranking[:keep] + again)[:7]
            result += [row for row in ranking if row not in result][: 7 - len(result)]
        hits, precisions = 0, 0.0
        for rank, row in enumerate(result, start=1):
            if bundle.product_id(row) in relevant:
                hits += 1
                precisions += hits / rank
        total += precisions / min(7, len(relevant))
    return total / len(lines)


def test_every_figure_is_what_loops_over_the_paper_s_formulas_give(
    tiny_index, tiny_catalogue, tiny_repository
):
    bundle = open_index(tiny_index)

    result = evaluate(tiny_catalogue, bundle, tiny_repository)

    assert [row.method for row in result.rows] == [
        "baseline", "k = 6", "k = 5", "k = 4", "k = 3", "k = 2", "k = 1",
    ]  # fmt: skip
    for row in result.rows:
        expected = own_map_at_7(bundle, tiny_repository, tiny_catalogue, row.keep)
        assert row.map_at_7.gt == pytest.approx(expected, abs=1e-12), row.method
    assert result.rows[4].map_at_7.gt > result.rows[0].map_at_7.gt  # only the words find the last
    assert result.rows[4].improved_percent > 0
    assert (result.queries, result.products, result.profile) == (8, 40, "tiny")


def test_the_table_names_both_conventions(tiny_index, tiny_catalogue, tiny_repository):
    console = Console(width=100, record=True, file=io.StringIO())

    console.print(evaluate(tiny_catalogue, open_index(tiny_index), tiny_repository).table())

    text = console.export_text()
    for heading in ("mAP@7 (gt)", "mAP@7 (hits)", "Improved %", "Impaired %", "baseline", "k = 3"):
        assert heading in text
    assert "divided by min(relevant, 7)" in text


def test_the_command_builds_the_index_itself_and_prints_json(
    dataset, tiny_profile_file, tiny_repository, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    options = ["--profile", str(tiny_profile_file), "--model-repository", str(tiny_repository)]
    monkeypatch.setattr("sys.argv", ["beauty-export", "evaluate", str(dataset), "--json", *options])

    with pytest.raises(SystemExit) as stop:
        cli.main()

    assert stop.value.code == 0
    result = json.loads(capsys.readouterr().out)
    assert result["dataset"] == "dataset"
    assert [row["keep"] for row in result["rows"]] == [None, 6, 5, 4, 3, 2, 1]
    assert set(result["rows"][0]["map_at_7"]) == {"gt", "hits"}
    assert (tmp_path / "build" / "evaluate" / "dataset-tiny" / "current").is_file()


def test_an_unreadable_query_is_named_and_counts_nowhere(
    dataset, tiny_index, tiny_catalogue, tiny_repository
):
    bundle = open_index(tiny_index)
    lines = (dataset / "ground_truth.csv").read_text(encoding="utf-8").splitlines()
    write_truth(dataset, *lines, "queries/gone.jpg,p0000", "catalog.csv,p0000")

    result = evaluate(dataset, bundle, tiny_repository)

    assert result.unreadable == ("gone.jpg", "catalog.csv")
    assert result.rows == evaluate(tiny_catalogue, bundle, tiny_repository).rows


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["query_image,id", "queries/q00.jpg,p0000"], "has no column 'ids'"),
        (["query_image,ids", "queries/q00.jpg,nobody"], "line 2: .* has no product 'nobody'"),
        (["query_image,ids", "queries/q00.jpg,"], "line 2: ids is empty"),
        (["query_image,ids"], "has no rows"),
        (["query_image,ids", "queries/q00.jpg"], "line 2: the row does not have the header's 2"),
        (["query_image,ids", "gone.jpg,p0000"], "None of the 1 query images"),
    ],
)
def test_a_bad_ground_truth_says_where_and_what(
    dataset, tiny_index, tiny_repository, lines, message
):
    write_truth(dataset, *lines)

    with pytest.raises(CatalogueError, match=message):
        evaluate(dataset, open_index(tiny_index), tiny_repository)


def test_a_missing_ground_truth_is_named(dataset, tiny_index, tiny_repository):
    (dataset / "ground_truth.csv").unlink()

    with pytest.raises(CatalogueError, match=r"Cannot read .*ground_truth\.csv: No such file"):
        evaluate(dataset, open_index(tiny_index), tiny_repository)


def test_models_other_than_the_index_s_are_refused(dataset, tiny_index, tiny_repository, tmp_path):
    repository = shutil.copytree(tiny_repository, tmp_path / "models")
    shutil.copy(
        repository / "tiny_a" / "1" / "model.onnx", repository / "tiny_b" / "1" / "model.onnx"
    )

    with pytest.raises(ModelMismatchError, match="was built with model tiny_b"):
        evaluate(dataset, open_index(tiny_index), repository)


def test_weights_that_mean_nothing_are_said(dataset, tiny_index_copy, tiny_repository):
    bundle = open_index(tiny_index_copy)
    path = bundle.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"]["tiny_a"]["weights"] = "random (seed 0)"
    path.write_text(json.dumps(manifest))

    result = evaluate(dataset, open_index(tiny_index_copy), tiny_repository)

    assert result.warnings == ("tiny_a has random (seed 0) weights: results mean nothing.",)
    assert np.isfinite(result.rows[0].map_at_7.gt)
