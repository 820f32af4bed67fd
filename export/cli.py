"""The command ``beauty-export``: everything that is done before the server starts."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from export.contact_sheet import write_contact_sheet
from export.evaluate import evaluate as evaluate_index
from export.index_cli import EXTRACT_EXAMPLE, INDEX_EXAMPLE, build, extract, index
from export.messages import say as _say
from export.messages import warn as _warn
from export.options import (
    DEFAULT_REPOSITORY,
    EngineName,
    ProfileName,
    Repository,
    TritonUrl,
    patient_triton,
)
from export.profiles import LITE, find_profile
from export.progress import Advance, progress
from export.text_settings import TextSettings
from retrieval_server.engines import ENGINES, TritonConnection
from retrieval_server.errors import CatalogueError, ProfileError, RetrievalError, ShardError
from retrieval_server.index_bundle import open_index

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Export models, build an index, measure how good it is.",
)

BAD_INPUT = 65  # EX_DATAERR of sysexits.h: the same command would fail again
BAD_INPUT_ERRORS = (CatalogueError, ProfileError, ShardError)

app.command(epilog=EXTRACT_EXAMPLE)(extract)
app.command(epilog=INDEX_EXAMPLE)(index)


@app.command(epilog="Example: beauty-export onnx --profile lite")
def onnx(
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=FILE: weights of one model from a .safetensors or .pth file."),
    ] = None,
    random_seed: Annotated[
        int | None, typer.Option(help="Seeded weights that mean nothing, for a dry run.")
    ] = None,
) -> None:
    """Export a profile's backbones to ONNX and check them against PyTorch."""
    try:
        from export.backbones import RANDOM_WEIGHTS, WeightsChoice
        from export.build_model_repository import export_profile
    except ModuleNotFoundError as error:
        raise RetrievalError(
            f"The export needs {error.name}. Install it with: pip install '.[export]'"
        ) from error
    chosen = find_profile(profile)
    choices = {}
    if random_seed is not None:
        choices = {model: WeightsChoice(random_seed=random_seed) for model in chosen.models}
    for entry in checkpoint or ():
        model, separator, file = entry.partition("=")
        if not separator:
            raise ProfileError(f"--checkpoint {entry!r} must be MODEL=FILE.")
        choices[model] = WeightsChoice(checkpoint=Path(file))
    exported = export_profile(chosen, model_repository, choices, lambda model: _say(f"{model} …"))
    for result in exported:
        parity = result.parity
        checked = "is there already"
        if parity is not None:
            checked = (
                f"agrees with PyTorch: cosine ≥ {parity.min_cosine:.7f}, difference ≤ "
                f"{parity.max_difference:.1e}"
            )
        _say(f"{result.model}: {result.dimension} values, weights: {result.weights}; {checked}")
        if result.weights.startswith(RANDOM_WEIGHTS):
            _warn(f"{result.model} has random weights: results will mean nothing.")


@app.command(epilog="Example: beauty-export evaluate build/demo/sample --json")
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Folder with catalog.csv and ground_truth.csv.")],
    index: Annotated[
        Path | None,
        typer.Option(help="Index of its catalogue; built in build/evaluate if not given."),
    ] = None,
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: EngineName = ENGINES[0],
    triton_url: TritonUrl = TritonConnection.url,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure mAP@7 of the initial ranking and of refinement with k = 6 to 1."""
    triton = patient_triton(triton_url)
    if index is None:
        name = f"{dataset.resolve().name}-{find_profile(profile).name}"
        index = Path("build/evaluate") / name
        build(dataset, index, profile, model_repository, engine, triton, TextSettings())
    evaluation = evaluate_index(dataset, open_index(index), model_repository, engine, triton)
    for warning in evaluation.warnings:
        _warn(warning)
    for image in evaluation.unreadable:
        _warn(f"query {image} cannot be read and counts nowhere.")
    if as_json:
        typer.echo(json.dumps(evaluation.to_json()))
    else:
        Console().print(evaluation.table())


@app.command(epilog="Example: beauty-export sample build/demo/sample")
def sample(
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
) -> None:
    """Render a catalogue of made-up cosmetics with query photos and ground truth."""
    try:
        from export.sample import write_sample
    except ModuleNotFoundError as error:
        raise RetrievalError(
            f"The sample needs {error.name}. Install it with: pip install '.[export]'"
        ) from error
    with contextlib.ExitStack() as stack:
        advance: Advance | None = None

        def show(done: int, total: int) -> None:
            nonlocal advance
            if advance is None:
                advance = stack.enter_context(progress("pictures", total))
            advance(1)

        try:
            folder = write_sample(output, seed=seed, on_progress=show)
        except OSError as error:
            raise RetrievalError(str(error)) from error
    _say(f"sample catalogue: {folder}")


@app.command(
    epilog="Example: beauty-export contact-sheet build/demo/results.jsonl "
    "--catalogue build/demo/sample --output build/demo/contact-sheet.html"
)
def contact_sheet(
    results: Annotated[Path, typer.Argument(help="What beauty-search printed with --json.")],
    catalogue: Annotated[Path, typer.Option(help="Folder of the catalogue.")],
    output: Annotated[Path, typer.Option(help="HTML file to write.")],
    ground_truth: Annotated[
        Path | None, typer.Option(help="True matches; the catalogue's own if not given.")
    ] = None,
) -> None:
    """Show queries and results as pictures in one self-contained HTML file."""
    count = write_contact_sheet(results, catalogue, output, ground_truth)
    _say(f"contact sheet of {count} queries: {output}")


@app.command(epilog="Example: beauty-export verify build/demo/index")
def verify(
    index: Annotated[Path, typer.Argument(help="Index folder, or one version of it.")],
) -> None:
    """Read every file of an index and compare it with its checksum."""
    bundle = open_index(index)
    bundle.verify()
    _say(f"{bundle.folder}: {len(bundle):,} products, every file as it was written")


def main() -> None:
    """Run the command ``beauty-export``; an error is one line and exit code 1, or ``BAD_INPUT``."""
    try:
        app()
    except (RetrievalError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_INPUT if isinstance(error, BAD_INPUT_ERRORS) else 1)
