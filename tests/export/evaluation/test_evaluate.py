"""The paper's table on any folder: worked through once more by other means, and bad input."""

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import onnxruntime
import pytest
import pytrec_eval
from rich.console import Console

from export import cli
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.ablation import Method
from export.evaluation.evaluate import evaluate
from export.evaluation.terminal import evaluation_table
from export.index.build import IndexBuild
from retrieval_server.command_line.outcome import BAD_INPUT
from retrieval_server.errors import CatalogueError, ModelMismatchError
from retrieval_server.filters.typed import TypedFilter
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import read_image
from tests.support.export.beauty_export import check_failed
from tests.support.manifest_edit import change_manifest
from tests.support.text_photo import text_image


@pytest.fixture
def dataset(tiny_catalogue, tmp_path):
    """A copy of the tiny catalogue's folder, to damage its ground truth."""
    return shutil.copytree(tiny_catalogue, tmp_path / "dataset")


def write_truth(dataset, *lines):
    (dataset / "ground_truth.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def own_results(
    bundle,
    repository,
    dataset,
    keep,
    searched=lambda product: True,
    name=lambda product: product.product_id,
    group=None,
):
    """Relevant names and results by loops: cosines with fsum, Algorithm 1 with lists."""
    rows = [row for row in range(len(bundle)) if searched(bundle.product(row))]
    names = [name(bundle.product(row)) for row in range(len(bundle))]
    groups = [(group or name)(bundle.product(row)) for row in range(len(bundle))]
    names_searched = {names[row] for row in rows}

    def first_of_each(ranking, taken=()):
        best = {groups[row]: row for row in reversed(ranking) if groups[row] not in taken}
        return [row for row in ranking if best.get(groups[row]) == row]

    lines = (dataset / "ground_truth.csv").read_text(encoding="utf-8").splitlines()[1:]
    found = {}
    for line in lines:
        query, ids = line.split(",")
        relevant = set(ids.split()) & names_searched
        if not relevant:
            continue
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
        by_image = sorted(rows, key=lambda row: (-similarity[row], row))
        ranking = first_of_each(by_image)
        result = ranking[:7]
        if keep is not None:
            subset = {n for row in ranking[:keep] for n in bundle.text_index.neighbours(row)[0]}
            kept = ranking[:keep]
            again = [row for row in by_image if row in subset]
            result = (kept + first_of_each(again, {groups[row] for row in kept}))[:7]
            filled = first_of_each(ranking, {groups[row] for row in result})
            result += filled[: 7 - len(result)]
        found[query.removeprefix("queries/")] = relevant, [names[row] for row in result]
    return found


def own_average_precisions(found):
    """By query: precision at the hits, divided by the relevant, and by the hits."""
    gt, hits_found = [], []
    for relevant, result in found.values():
        precisions = [
            len(relevant & set(result[:rank])) / rank
            for rank in range(1, len(result) + 1)
            if result[rank - 1] in relevant
        ]
        gt.append(sum(precisions) / min(7, len(relevant)))
        hits_found.append(sum(precisions) / max(1, len(precisions)))
    return np.array(gt), np.array(hits_found)


def test_every_figure_is_what_loops_over_the_paper_s_formulas_give(
    tiny_index, tiny_catalogue, tiny_repository
):
    bundle = open_index(tiny_index)

    result = evaluate(tiny_catalogue, bundle, EngineChoice(tiny_repository))

    assert [row.method for row in result.rows] == [
        "baseline", "k = 6", "k = 5", "k = 4", "k = 3", "k = 2", "k = 1",
    ]  # fmt: skip
    found = [own_results(bundle, tiny_repository, tiny_catalogue, r.keep) for r in result.rows]
    own = [own_average_precisions(results) for results in found]
    for row, results, (gt, hits) in zip(result.rows, found, own, strict=True):
        assert row.map_at_7.gt == pytest.approx(gt.mean(), abs=1e-12), row.method
        assert row.map_at_7.hits == pytest.approx(hits.mean(), abs=1e-12), row.method
        shares = [len(relevant & set(ids)) / len(relevant) for relevant, ids in results.values()]
        assert row.recall_at_7 == pytest.approx(np.mean(shares)), row.method
        firsts = [ids[0] in relevant for relevant, ids in results.values()]
        assert row.hit_at_1 == np.mean(firsts), row.method
    for row, (gt, _) in list(zip(result.rows, own, strict=True))[1:]:
        change = gt - own[0][0]
        assert row.improved_percent == 100 * np.mean(change > 1e-9)
        assert row.impaired_percent == 100 * np.mean(change < -1e-9)
        compared = row.against_baseline["gt"]
        assert compared.difference == pytest.approx(change.mean(), abs=1e-12)
        flipped = [abs(np.dot(signs, change)) for signs in product((1, -1), repeat=8)]
        share = np.mean(np.array(flipped) >= abs(change.sum()) - 1e-9)
        assert compared.p_value == pytest.approx(share)
    assert result.rows[4].map_at_7.gt > result.rows[0].map_at_7.gt  # only the words find the last
    assert result.rows[4].improved_percent > 0
    assert (result.queries, result.items, result.products) == (8, 8, 40)
    assert result.profile == "tiny"


@pytest.mark.parametrize(
    ("where", "searched", "queries"),
    [
        (["price < 7"], lambda product: float(product.attributes["price"]) < 7, 8),
        (
            ["price >= 6.99", 'brand not in (Nuxe, "L\'Oréal")'],
            lambda product: (
                float(product.attributes["price"]) >= 6.99
                and product.attributes["brand"] not in {"Nuxe", "L'Oréal"}
            ),
            4,
        ),
        (["brand = Bioderma"], lambda product: product.attributes["brand"] == "Bioderma", 2),
    ],
)
def test_with_conditions_every_figure_is_what_loops_over_the_products_that_meet_them_give(
    tiny_index, tiny_catalogue, tiny_repository, where, searched, queries
):
    bundle = open_index(tiny_index)

    result = evaluate(
        tiny_catalogue,
        bundle,
        EngineChoice(tiny_repository),
        where=TypedFilter.of_texts(where),
    )

    for place, row in enumerate(result.rows):
        found = own_results(bundle, tiny_repository, tiny_catalogue, row.keep, searched)
        assert [query.name for query in result.rated_queries] == list(found)
        for query, (relevant, ids) in zip(result.rated_queries, found.values(), strict=True):
            ranks = {i: ids.index(i) + 1 for i in relevant & set(ids)}
            assert query.ratings[place].ranks == ranks
            assert query.relevant == len(relevant)
        gt, hits = own_average_precisions(found)
        assert row.map_at_7.gt == pytest.approx(gt.mean(), abs=1e-12)
        assert row.map_at_7.hits == pytest.approx(hits.mean(), abs=1e-12)
    assert result.searched == sum(searched(bundle.product(row)) for row in range(len(bundle)))
    assert (result.queries, result.unanswerable, result.products) == (queries, 8 - queries, 40)
    assert result.where == tuple(where)


@pytest.fixture(scope="module")
def products(tiny_catalogue, tmp_path_factory):
    """The tiny catalogue, whose images are those of three products a family and some without."""
    dataset = shutil.copytree(tiny_catalogue, tmp_path_factory.mktemp("products") / "dataset")
    (dataset / "catalog.csv").unlink()
    rows, truth = [], ["query_image,ids"]
    for row in read_catalogue(tiny_catalogue).rows:
        family, member = int(row.product_id[1:3]), int(row.product_id[3:])
        product = f"f{family}-{member // 2}" if member < 4 or family % 2 else ""
        rows.append(
            {
                "id": row.product_id,
                "image": row.image,
                "description": row.description,
                "product": product,
                "category": f"{member // 3}",
                **row.attributes,
            }
        )
        if not member:
            names = [f"f{family}-{number}" for number in range(3 if family % 2 else 2)]
            truth.append(f"queries/q{family:02d}.jpg,{' '.join(names)}")
    (dataset / "catalog.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    write_truth(dataset, *truth)
    return dataset


@pytest.fixture(scope="module")
def index_of_products(products, tiny_profile, tiny_repository, tmp_path_factory):
    root = tmp_path_factory.mktemp("products") / "index"
    catalogue = read_catalogue(products)
    return IndexBuild(catalogue, tiny_profile, EngineChoice(tiny_repository), root).run().folder


@pytest.mark.parametrize("where", [[], ["price < 8"]])
def test_where_products_are_named_every_figure_is_of_products_by_their_best_image(
    products, index_of_products, tiny_repository, where
):
    bundle = open_index(index_of_products)

    result = evaluate(
        products, bundle, EngineChoice(tiny_repository), where=TypedFilter.of_texts(where)
    )

    def is_searched(product):
        return not where or float(product.attributes["price"]) < 8

    def name(product):
        return product.attributes.get("product", f"only {product.product_id}")

    for place, row in enumerate(result.rows):
        found = own_results(bundle, tiny_repository, products, row.keep, is_searched, name)
        assert [query.name for query in result.rated_queries] == list(found)
        for query, (relevant, names) in zip(result.rated_queries, found.values(), strict=True):
            assert len(set(names)) == len(names) == 7
            ranks = {i: names.index(i) + 1 for i in relevant & set(names)}
            assert query.ratings[place].ranks == ranks
            assert query.relevant == len(relevant)
        gt, hits = own_average_precisions(found)
        assert row.map_at_7.gt == pytest.approx(gt.mean(), abs=1e-12)
        assert row.map_at_7.hits == pytest.approx(hits.mean(), abs=1e-12)
    assert result.by_product
    assert {query.relevant for query in result.rated_queries} == {2} if where else {2, 3}
    # three of a product's images are of the category 0, at most two of 1
    assert {query.category for query in result.rated_queries} == {"0"}
    text = evaluation_text(result)
    assert "The ground truth names products" in text
    assert "Ranks of relevant products" in text


@pytest.mark.parametrize(
    ("by_product", "group_by", "note"),
    [
        (False, "brand", "of the column 'brand'. True matches are images; of those of one value"),
        (False, "product", "of the column 'product'. True matches are images"),
        (True, "price", "of the column 'price'. True matches are products, of each of which"),
        (True, "product", "The ground truth names products, so results and true matches are"),
    ],
)
def test_results_are_grouped_by_the_column_that_is_named(
    products, index_of_products, tiny_repository, tiny_catalogue, by_product, group_by, note
):
    bundle = open_index(index_of_products)
    dataset = products if by_product else tiny_catalogue

    result = evaluate(dataset, bundle, EngineChoice(tiny_repository), group_by=group_by)

    def name(product):
        alone = product.product_id
        return product.attributes.get("product", f"only {alone}") if by_product else alone

    def group(product):
        return product.attributes.get(group_by, f"only {product.product_id}")

    for place, row in enumerate(result.rows):
        found = own_results(bundle, tiny_repository, dataset, row.keep, name=name, group=group)
        for query, (relevant, names) in zip(result.rated_queries, found.values(), strict=True):
            ranks = {i: names.index(i) + 1 for i in relevant & set(names)}  # of the first of each
            assert query.ratings[place].ranks == ranks
        firsts = {
            query: (relevant, list(dict.fromkeys(n))) for query, (relevant, n) in found.items()
        }
        shares = [len(relevant & set(names)) / len(relevant) for relevant, names in firsts.values()]
        assert row.recall_at_7 == pytest.approx(np.mean(shares))
    assert (result.by_product, result.group_by) == (by_product, group_by)
    assert note in evaluation_text(result)


def evaluation_text(result):
    output = io.StringIO()
    Console(file=output, width=400).print(evaluation_table(result))
    return output.getvalue()


def test_the_images_of_products_are_rated_one_by_one_where_the_ground_truth_names_them(
    products, index_of_products, tiny_repository, tmp_path
):
    truth = tmp_path / "truth.csv"
    truth.write_text("query_image,ids\nqueries/q00.jpg,p0000 p0001\n")
    shutil.copytree(products / "queries", tmp_path / "queries")

    result = evaluate(
        products, open_index(index_of_products), EngineChoice(tiny_repository), ground_truth=truth
    )

    assert not result.by_product
    assert result.rated_queries[0].ratings[0].ranks == {"p0000": 1, "p0001": 2}
    assert "names products" not in evaluation_text(result)


def test_photos_of_one_item_are_one_witness_also_if_what_they_share_is_not_searched(
    dataset, tiny_index, tiny_repository
):
    write_truth(
        dataset,
        "query_image,ids",
        "queries/q00.jpg,p0000 p0004",
        "queries/q01.jpg,p0001 p0004",
        "queries/q02.jpg,p0200",
    )

    result = evaluate(
        dataset,
        open_index(tiny_index),
        EngineChoice(tiny_repository),
        where=TypedFilter.of_texts(["price < 9"]),  # all but the fifth of each family
    )

    assert (result.queries, result.items) == (3, 2)


def test_the_command_says_what_was_searched_and_how_many_queries_have_nothing_to_find(
    run, tiny_index, tiny_catalogue, tiny_repository
):
    command = ("evaluate", tiny_catalogue, "--index", tiny_index)
    command += ("--model-repository", tiny_repository, "--markdown", "-")

    outcome = run(*command, "--where", "brand = Bioderma", "--where", "price < 7")

    assert outcome.exit_code == 0
    assert (
        "Searched: the 4 images where brand = Bioderma and price \\< 7; true matches are those "
        "among them. 6 queries have none, and no figure includes them."
    ) in outcome.stdout
    nobody = run(*command, "--where", "brand is missing")
    check_failed(nobody, "None of the 8 queries has a true match among the 0 of 40 products")
    assert nobody.exit_code == BAD_INPUT


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("brand", "'brand', at the end: after the column, write = != <"),
        ("price < Nuxe", "'price < Nuxe', at 'Nuxe': only numbers go with <"),
        ("brand = \udcff", r"'brand = \udcff' is not valid UTF-8."),
        ("brnd = Nuxe", "'brnd = Nuxe': there is no column 'brnd'. Did you mean 'brand'?"),
        ("brand < 7", "'brand < 7': column 'brand' holds texts; only numbers have a range."),
        ("price = '7'", "\"price = '7'\": column 'price' holds numbers, and '7' is a text."),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_condition_that_cannot_be_met_is_misuse(
    run, tiny_index, tiny_catalogue, tiny_repository, tmp_path, command, where, message
):
    arguments = {
        "evaluate": (tiny_catalogue,),
        "predict": (tiny_catalogue / "queries", tmp_path / "answers.csv"),
    }
    options = ("--index", tiny_index, "--model-repository", tiny_repository)

    outcome = run(command, *arguments[command], *options, "--where", "price > 1", "--where", where)

    assert outcome.exit_code == 2
    assert f"Invalid value for --where: {message}" in " ".join(outcome.stderr.split())
    assert not (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "colour = red"), "--where: 'colour = red': the catalogue has no column"),
        (("--group-by", "colour"), "--group-by: the catalogue has no column"),
    ],
)
def test_an_unknown_column_is_named_before_an_index_is_built(
    run, dataset, index_options, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)

    outcome = run("evaluate", dataset, *index_options, *options)

    assert outcome.exit_code == 2
    said = " ".join(outcome.stderr.split())
    assert f"Invalid value for {message} 'colour'. Columns: 'brand', 'price'." in said
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("brnd", "there is no column 'brnd'. Did you mean 'brand'? Columns: 'brand' (text)"),
        ("", "Name a column, or leave the option out."),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_column_that_cannot_be_grouped_by_is_misuse(
    run, tiny_index, tiny_catalogue, tiny_repository, tmp_path, command, column, message
):
    arguments = {
        "evaluate": (tiny_catalogue,),
        "predict": (tiny_catalogue / "queries", tmp_path / "answers.csv"),
    }
    options = ("--index", tiny_index, "--model-repository", tiny_repository)

    outcome = run(command, *arguments[command], *options, "--group-by", column)

    assert outcome.exit_code == 2
    said = " ".join(outcome.stderr.replace("'--group-by'", "--group-by").split())
    assert f"Invalid value for --group-by: {message}" in said
    assert not (tmp_path / "answers.csv").exists()


def test_trec_eval_says_the_same_of_each_query(tiny_index, tiny_catalogue, tiny_repository):
    bundle = open_index(tiny_index)
    found = own_results(bundle, tiny_repository, tiny_catalogue, 3)
    evaluator = pytrec_eval.RelevanceEvaluator(
        {name: dict.fromkeys(relevant, 1) for name, (relevant, _) in found.items()},
        {"map_cut.7", "recall.7", "success.1"},
    )
    said = evaluator.evaluate(
        {name: {i: 7.0 - n for n, i in enumerate(ids)} for name, (_, ids) in found.items()}
    )

    result = evaluate(tiny_catalogue, bundle, EngineChoice(tiny_repository))

    place = result.position("k = 3")
    for query in result.rated_queries:
        rating = query.ratings[place]
        assert rating.average_precision.gt == pytest.approx(said[query.name]["map_cut_7"])
        assert rating.recall_at_7 == pytest.approx(said[query.name]["recall_7"])
        assert rating.hit_at_1 == said[query.name]["success_1"]
        relevant, ids = found[query.name]
        assert rating.ranks == {i: ids.index(i) + 1 for i in relevant & set(ids)}


def test_a_query_has_the_category_of_most_of_its_relevant_images(
    dataset, tiny_profile, tiny_repository, tmp_path
):
    rows = [
        (row.product_id, row.image, row.description, row.product_id[:3])
        for row in read_catalogue(dataset).rows
    ]
    rows[0] = (*rows[0][:3], "p01")  # one of five lies: the others decide
    with (dataset / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "image", "description", "category"), *rows])
    IndexBuild(
        read_catalogue(dataset), tiny_profile, EngineChoice(tiny_repository), tmp_path / "index"
    ).run()

    result = evaluate(
        dataset, open_index(tmp_path / "index"), EngineChoice(tiny_repository), keep=1
    )

    assert [query.category for query in result.rated_queries] == [f"p{i:02d}" for i in range(8)]
    assert result.detailed == "k = 1"
    for category, query in zip(result.categories, result.rated_queries, strict=True):
        assert (category.name, category.queries) == (query.category, 1)
        gt = [query.ratings[place].average_precision.gt for place in (0, result.position("k = 1"))]
        assert category.difference == pytest.approx(gt[1] - gt[0])


def test_the_table_names_both_conventions(tiny_index, tiny_catalogue, tiny_repository):
    console = Console(width=100, record=True, file=io.StringIO())

    evaluation = evaluate(tiny_catalogue, open_index(tiny_index), EngineChoice(tiny_repository))
    console.print(evaluation_table(evaluation))

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


def test_the_command_writes_a_page_and_markdown_of_the_same_figures(
    dataset, tiny_index, tiny_repository, tmp_path, monkeypatch, capsys
):
    page, markdown = tmp_path / "new" / "report.html", tmp_path / "table.md"
    options = ["--index", str(tiny_index), "--model-repository", str(tiny_repository)]
    command = ["beauty-export", "evaluate", str(dataset), *options, "-k", "2"]

    for further in (["--html", str(page), "--markdown", str(markdown)], ["--markdown", "-"]):
        monkeypatch.setattr("sys.argv", [*command, *further])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
    printed = capsys.readouterr().out

    assert printed.endswith(markdown.read_text(encoding="utf-8"))
    result = evaluate(dataset, open_index(tiny_index), EngineChoice(tiny_repository))
    for row in result.rows:
        for text in (page.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")):
            assert f"{row.map_at_7.gt:.6f}" in text
            assert f"{row.map_at_7.hits:.6f}" in text
            assert f"{row.recall_at_7:.6f}" in text
    assert "Queries that changed most, k = 2" in printed
    assert not list(tmp_path.glob("**/.*.md")) + list(tmp_path.glob("**/.*.html"))


def test_an_unreadable_query_is_named_and_counts_nowhere(
    dataset, tiny_index, tiny_catalogue, tiny_repository
):
    bundle = open_index(tiny_index)
    lines = (dataset / "ground_truth.csv").read_text(encoding="utf-8").splitlines()
    write_truth(dataset, *lines, "queries/gone.jpg,p0000", "catalog.csv,p0000")

    result = evaluate(dataset, bundle, EngineChoice(tiny_repository))

    assert list(result.unreadable) == ["gone.jpg", "catalog.csv"]
    assert result.unreadable["gone.jpg"].startswith("cannot be read")
    assert result.rows == evaluate(tiny_catalogue, bundle, EngineChoice(tiny_repository)).rows


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["query_image,id", "queries/q00.jpg,p0000"], "has no column 'ids'"),
        (["query_image,ids", "queries/q00.jpg,nobody"], "line 2: .* has no product 'nobody'"),
        (["query_image,ids", "queries/q00.jpg,"], "line 2: there are no ids"),
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
        evaluate(dataset, open_index(tiny_index), EngineChoice(tiny_repository))


def test_a_missing_ground_truth_is_named(dataset, tiny_index, tiny_repository):
    (dataset / "ground_truth.csv").unlink()

    with pytest.raises(CatalogueError, match=r"Cannot read .*ground_truth\.csv: No such file"):
        evaluate(dataset, open_index(tiny_index), EngineChoice(tiny_repository))


def test_models_other_than_the_index_s_are_refused(dataset, tiny_index, tiny_repository, tmp_path):
    repository = shutil.copytree(tiny_repository, tmp_path / "models")
    shutil.copy(
        repository / "tiny_a" / "1" / "model.onnx", repository / "tiny_b" / "1" / "model.onnx"
    )

    with pytest.raises(ModelMismatchError, match="was built with model tiny_b"):
        evaluate(dataset, open_index(tiny_index), EngineChoice(repository))


def test_weights_that_mean_nothing_are_said(dataset, tiny_index_copy, tiny_repository):
    bundle = open_index(tiny_index_copy)
    path = bundle.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["models"]["tiny_a"]["weights"] = "random (seed 0)"
    path.write_text(json.dumps(manifest))

    result = evaluate(dataset, open_index(tiny_index_copy), EngineChoice(tiny_repository))

    assert result.warnings == ("tiny_a has random (seed 0) weights: results mean nothing.",)
    assert np.isfinite(result.rows[0].map_at_7.gt)


def test_words_of_the_ground_truth_have_rows_of_their_own(dataset, tiny_index, tiny_repository):
    queries = sorted(path.name for path in (dataset / "queries").iterdir())[:3]
    write_truth(
        dataset,
        "query_image,ids,words",
        f"queries/{queries[0]},p0000 p0004,nuxe",
        f"queries/{queries[1]},p0704,p07 bioderma forest palette 17ml",
        f"queries/{queries[2]},p0200,",
    )
    bundle, engine = open_index(tiny_index), EngineChoice(tiny_repository)
    result = evaluate(dataset, bundle, engine, keep=2)
    assert [row.method for row in result.rows[-3:]] == [
        "k = 1",
        "typed words",
        "typed words, k = 2",
    ]
    by_words = {query.name: query.ratings for query in result.rated_queries}
    assert by_words[queries[2]][-2] == by_words[queries[2]][0]  # no words: the baseline
    before, after = (by_words[queries[1]][row].average_precision.gt for row in (0, -2))
    assert after > before
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(evaluation_table(result))
    assert ", with typed words " in " ".join(console.export_text().split())

    write_truth(dataset, "query_image,ids,words", f"queries/{queries[0]},p0000,{'a' * 10_001}")
    with pytest.raises(CatalogueError, match="line 2: the words have 10,001 characters"):
        evaluate(dataset, bundle, engine)


def test_words_that_are_read_have_rows_of_their_own(
    dataset, tiny_catalogue, tiny_profile, tiny_repository, reader_repository, tmp_path
):
    """p0701 is "bioderma forest palette 17ml"; the photo of the second query is only text."""
    text_image("bioderma forest palette 17ml").save(dataset / "queries" / "text.png")
    query = sorted((dataset / "queries").iterdir())[0].name
    write_truth(
        dataset, "query_image,ids,words", f"queries/{query},p0000,nuxe", "queries/text.png,p0701,"
    )
    profile = replace(tiny_profile, reader="ppocr")
    catalogue = read_catalogue(tiny_catalogue)
    IndexBuild(catalogue, profile, EngineChoice(tiny_repository), tmp_path / "index").run()
    bundle = open_index(tmp_path / "index")
    result = evaluate(dataset, bundle, EngineChoice(reader_repository))
    assert [row.method for row in result.rows[7:]] == [
        "typed words",
        "typed words, k = 3",
        "read words",
        "read words, k = 3",
        "typed words and read words",
        "typed words and read words, k = 3",
    ]
    ratings = next(q.ratings for q in result.rated_queries if q.name == "text.png")
    baseline, typed, read = (ratings[row].average_precision.gt for row in (0, 7, 9))
    assert typed == baseline
    assert read > baseline
    assert [(each.words, each.category) for each in result.words] == [
        ("typed words", None), ("read words", None), ("typed words and read words", None),
    ]  # fmt: skip
    refined = [result.rows[place].map_at_7.gt for place in (4, 10)]
    assert [result.words[1].without, result.words[1].with_words] == refined
    without = evaluate(dataset, bundle, EngineChoice(tiny_repository))
    assert [row.method for row in without.rows[7:]] == ["typed words", "typed words, k = 3"]


def test_the_profile_s_beta_is_that_of_the_evaluation(
    dataset, tiny_index_copy, tiny_catalogue, tiny_repository
):
    truth = (tiny_catalogue / "ground_truth.csv").read_text(encoding="utf-8").splitlines()
    write_truth(dataset, f"{truth[0]},words", *(f"{line},nuxe" for line in truth[1:]))

    def with_beta(beta):
        version = tiny_index_copy / (tiny_index_copy / "current").read_text().strip()
        change_manifest(version, lambda data: data["profile"].update(text_weight=beta))
        return evaluate(dataset, open_index(tiny_index_copy), EngineChoice(tiny_repository))

    strong, weak, none = map(with_beta, (100.0, 1.0, 0))
    assert strong.text_weight == 100
    strong_figures, weak_figures = ([row.map_at_7 for row in e.rows] for e in (strong, weak))
    assert strong_figures[:7] == weak_figures[:7]
    assert strong_figures[7:] != weak_figures[7:]
    assert [row.method for row in none.rows] == [row.method for row in weak.rows[:7]]
    assert none.words == ()


def test_typed_words_as_long_as_allowed_leave_no_room_for_those_on_the_photo():
    method = Method("both", None, "typed words and read words")

    assert method.parameters("a" * 10_000, ("nuxe",)).words == "a" * 10_000
    assert method.parameters("oil", ("nuxe", "b" * 9_999, "x")).words == "oil\nnuxe"
