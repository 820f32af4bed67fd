"""The commands that make pictures: contact sheets, and what the models look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import optional_packages, say, warn
from export.commands.options import DEFAULT_REPOSITORY, GroundTruth, ProfileName, Repository
from export.commands.outputs import check_outputs, say_where
from export.models.profiles import LITE, find_profile
from retrieval_server.command_line import option_values
from retrieval_server.command_line.output_file import check_folder

Output = Annotated[Path, typer.Option(help="HTML file to write; - prints it.")]
Pictures = Annotated[
    Path | None,
    typer.Option(
        "--png",
        help="Folder to write one PNG for each photo to, as well.",
        callback=option_values.folder,
    ),
]


def contact_sheet(
    results: Annotated[Path, typer.Argument(help="What beauty-search printed with --json.")],
    catalogue: Annotated[Path, typer.Option(help="Folder of the catalogue.")],
    output: Output,
    ground_truth: GroundTruth = None,
    png: Pictures = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Show what the models looked at in each photo.")
    ] = False,
    model_repository: Repository = DEFAULT_REPOSITORY,
) -> None:
    """Show queries and results as pictures in one self-contained HTML file.

    Example: beauty-export contact-sheet build/demo/results.jsonl --catalogue build/demo/sample
    --output build/demo/contact-sheet.html
    """
    _check(output, png)
    with optional_packages("Pictures need"):
        from export.pictures.contact_sheet import write_contact_sheet
    count = write_contact_sheet(
        results,
        catalogue,
        output,
        ground_truth,
        pictures=png,
        model_repository=model_repository if attention else None,
        on_warning=warn,
    )
    say_where(f"contact sheet of {count} queries", output)
    _say_where_pictures(png)


def attention(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of them.")],
    output: Output,
    profile: ProfileName = LITE.name,
    png: Pictures = None,
    model_repository: Repository = DEFAULT_REPOSITORY,
) -> None:
    """Show what a profile's models look at in photos, by eq. (1) and (2).

    Example: beauty-export attention build/demo/sample/queries/q0001.jpg
    --output build/demo/attention.html
    """
    _check(output, png)
    with optional_packages("Pictures need"):
        from export.pictures.attention_page import write_attention_page
    ensemble = find_profile(profile).name
    count = write_attention_page(
        photos, ensemble, model_repository, output, pictures=png, on_warning=warn
    )
    say_where(f"attention of {count} photos", output)
    _say_where_pictures(png)


def _check(output: Path, png: Path | None) -> None:
    check_outputs({"--output": output})
    if png is not None:
        check_folder(png)


def _say_where_pictures(png: Path | None) -> None:
    if png is not None:
        say(f"pictures: {png}")
