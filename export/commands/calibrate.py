"""The command that gives an index probabilities: is it in the catalogue, is a match right?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from export.calibration.calibrate import Calibrated
from export.calibration.calibrate import calibrate as calibrate_on
from export.calibration.calibrated_version import publish_calibration
from export.calibration.html import calibration_page
from export.calibration.sections import calibration_sections
from export.commands.index_summary import retention_summary
from export.commands.messages import say, tell, warn
from export.commands.options import KeepVersions, engine_options
from export.commands.outputs import print_result, prints_table, say_where
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.terminal import sections_table
from export.output.folder import lock_folder
from retrieval_server.command_line.output_file import write_output
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.publish import current_version, is_version, open_index
from retrieval_server.index.retention import Retention, remove_old_versions


@engine_options
def calibrate(
    *,
    index: Annotated[Path, typer.Argument(help="Index folder; its current version is calibrated.")],
    ground_truth: Annotated[
        Path, typer.Option(help="File of query photos and their true matches, or its folder.")
    ],
    engine: EngineChoice,
    keep_versions: KeepVersions = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file; - prints it.")
    ] = None,
) -> None:
    """Let searches say whether the catalogue has what a photo shows, and which match is right.

    Searches with each query as it is, and with its true matches left out. Fits logistic models of
    the results, rates them on queries that took no part, and publishes a version of the index that
    has them. They are refused, with exit status 65, where they are no better than chance.

    Example: beauty-export calibrate build/demo/index --ground-truth build/demo/sample
    """
    has_table = prints_table({"--html": html}, as_json=as_json)
    with lock_folder(_checked(index), "Wait for it."):
        bundle = open_index(index)
        calibrated = calibrate_on(bundle, ground_truth, engine)
        for image, problem in calibrated.unreadable.items():
            warn(f"query {image} {problem} It is left out of every figure.")
        for kind, reason in calibrated.refused.items():
            warn(f"a {kind} gets no probabilities. {reason}")
        published = publish_calibration(bundle, calibrated.calibration)
        retention = Retention()
        if keep_versions is not None:
            retention = remove_old_versions(index, keep_versions, [bundle.version])
    _tell(bundle, published, retention)
    _report(calibrated, published, html, as_json=as_json, has_table=has_table)


def _checked(index: Path) -> Path:
    """Refuse what is no index folder with a current version."""
    if current_version(index) is not None:
        return index
    problem = f"There is no index at {index}. Build one with: beauty-export index"
    if is_version(index):
        problem = f"{index} is a version. Give its index folder: {index.parent}"
    raise typer.BadParameter(problem, param_hint="INDEX")


def _tell(bundle: IndexBundle, published: Path, retention: Retention) -> None:
    if published.name == bundle.version:
        say(f"nothing to do: {published} has this calibration")
    else:
        say(f"{published}: has the calibration, and is current in place of {bundle.version}")
    tell(retention_summary(retention))


def _report(
    calibrated: Calibrated, published: Path, html: Path | None, *, as_json: bool, has_table: bool
) -> None:
    kept = f"The calibration is kept in {published}."
    if html is not None:
        write_output(html, calibration_page(calibrated, published.name))
        say_where("report", html)
    if as_json:
        print_result(json.dumps(calibrated.to_json()), kept)
    elif has_table:
        print_result(sections_table(calibration_sections(calibrated)), kept)
