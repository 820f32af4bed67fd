"""The commands that answer queries: ``evaluate`` and ``predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from export.commands.conditions import check_column_names, check_columns, typed_filter
from export.commands.index_summary import catalogue_warnings, index_summary
from export.commands.messages import Message, left_out_query, tell, warn
from export.commands.options import (
    Dataset,
    GroundTruth,
    Keep,
    ProfileName,
    RefiningKeep,
    engine_options,
)
from export.commands.outputs import check_outputs, print_result, prints_table, say_where
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.evaluate import evaluate as evaluate_index
from export.evaluation.html import evaluation_page
from export.evaluation.markdown import evaluation_markdown
from export.evaluation.predict import predict as predict_folder
from export.evaluation.terminal import evaluation_table
from export.ground_truth.measurable import check_measurable
from export.index.build import IndexBuild
from export.models.profiles import LITE, find_profile
from retrieval_server.command_line.option_values import Conditions, GroupBy
from retrieval_server.command_line.output_file import write_output
from retrieval_server.index.publish import open_index
from retrieval_server.retrieval.search_request import DEFAULT_KEEP

BUILT_HERE = Path("build/evaluate")  # indexes of datasets that are given none


@engine_options
def evaluate(
    *,
    dataset: Dataset,
    index: Annotated[
        Path | None,
        typer.Option(help="Index of its catalogue; built in build/evaluate if not given."),
    ] = None,
    profile: ProfileName = LITE.name,
    engine: EngineChoice,
    keep: RefiningKeep = DEFAULT_KEEP,
    ground_truth: GroundTruth = None,
    where: Conditions = None,
    group_by: GroupBy = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file; - prints it.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write Markdown to this file; - prints it.")
    ] = None,
) -> None:
    """Measure mAP@7 of the initial ranking and of refinement with k = 6 to 1.

    Each has a 95 % interval and a paired test against the baseline. Results by category, if the
    catalogue has a column "category", and the queries that changed most are for the k of --keep.
    With --where, only products that meet its conditions are found, and only these are true matches.
    With --group-by, each result is the best image of one value of the column.

    Example: beauty-export evaluate build/demo/sample --html build/report.html
    """
    has_table = prints_table({"--html": html, "--markdown": markdown}, as_json=as_json)
    wanted = typed_filter(where)
    summary: list[Message] = []
    if index is None:
        chosen = find_profile(profile)
        check_measurable(dataset, ground_truth)
        index = BUILT_HERE / f"{dataset.resolve().name}-{chosen.name}"
        products = read_catalogue(dataset)
        check_column_names(wanted, group_by, products.columns)
        tell(catalogue_warnings(products))
        summary = list(index_summary(IndexBuild(products, chosen, engine, root=index).run()))
        tell(summary)
    bundle = open_index(index)
    check_columns(wanted, group_by, bundle.columns)
    evaluation = evaluate_index(dataset, bundle, engine, keep, ground_truth, wanted, group_by)
    told = {message.text for message in summary}
    for warning in evaluation.warnings:
        if warning not in told:
            warn(warning)
    for image, problem in evaluation.unreadable.items():
        warn(left_out_query(image, problem))
    if html is not None:
        write_output(html, evaluation_page(evaluation))
        say_where("report", html)
    if markdown is not None:
        write_output(markdown, evaluation_markdown(evaluation))
        say_where("Markdown", markdown)
    kept = f"The index is kept; evaluate it again with --index {index}, and --html to a file."
    if as_json:
        print_result(json.dumps(evaluation.to_json()), kept)
    elif has_table:
        print_result(evaluation_table(evaluation), kept)


@engine_options
def predict(
    *,
    images: Annotated[Path, typer.Argument(help="Folder of query images, named after their ids.")],
    output: Annotated[
        Path, typer.Argument(help="CSV file to write, a query and seven ids a row; - prints it.")
    ],
    index: Annotated[Path, typer.Option(help="Index folder, or one version of it.")],
    engine: EngineChoice,
    keep: Keep = DEFAULT_KEEP,
    where: Conditions = None,
    group_by: GroupBy = None,
) -> None:
    """Answer a folder of photos in the form of the challenge AI Meets Beauty.

    Example: beauty-export predict photos answers.csv --index build/demo/index
    """
    check_outputs({"OUTPUT": output})
    wanted = typed_filter(where)
    bundle = open_index(index)
    check_columns(wanted, group_by, bundle.columns)
    answered = predict_folder(images, output, bundle, engine, keep, wanted, group_by)
    if not answered.searched:
        warn("No product meets the conditions of --where: the fields of every query are empty.")
    if answered.left_out_line:
        warn(answered.left_out_line)
    for query, reason in answered.unreadable.items():
        warn(f"query {query} {reason} Its seven fields are empty.")
    say_where(f"{answered.queries:,} queries", output)
