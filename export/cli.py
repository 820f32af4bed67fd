"""The command ``beauty-export``: everything that is done before the server starts."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from export import picture_commands
from export.build_index import IndexBuild
from export.catalogue import read_catalogue
from export.evaluate import evaluate as evaluate_index
from export.language_filter import LANGUAGE_FILTERS
from export.profiles import LITE, PROFILES, find_profile
from export.progress import Advance, progress
from export.sample import write_sample
from export.text_settings import TextSettings
from export.tokens import TOKENISERS
from retrieval_server.engines import ENGINES, TritonConnection
from retrieval_server.errors import ProfileError, RetrievalError
from retrieval_server.index_bundle import REJECTS_FILE, open_index

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Export models, build an index, measure how good it is.",
)

DEFAULT_REPOSITORY = Path("model_repository")
DESCRIPTIONS_NAMED = 5  # ids to name in a warning
TRITON_TIMEOUT_S = 120.0  # nobody waits for one image: Triton may be slow, or restart

ProfileName = Annotated[
    str,
    typer.Option("--profile", help=f"One of {', '.join(PROFILES)}, or a .toml file."),
]
Repository = Annotated[Path, typer.Option("--model-repository", help="Folder with the models.")]
EngineName = Annotated[str, typer.Option("--engine", help=f"One of: {', '.join(ENGINES)}.")]
TritonUrl = Annotated[
    str, typer.Option("--triton-url", help="host:port of Triton's gRPC, for the engine triton.")
]


def _between_0_and_1(value: float) -> float:
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value} does not lie between 0 and 1.")
    return value


Tau = Annotated[
    float,
    typer.Option(help="τ of the textual index, between 0 and 1.", callback=_between_0_and_1),
]


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


@app.command(epilog="Example: beauty-export index build/demo/sample --output build/demo/index")
def index(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, or the folder it lies in.")],
    output: Annotated[Path, typer.Option(help="Index folder to publish in.")],
    profile: ProfileName = LITE.name,
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: EngineName = ENGINES[0],
    triton_url: TritonUrl = TritonConnection.url,
    threshold: Tau = TextSettings.threshold,
    tokeniser: Annotated[
        str,
        typer.Option(help=f"How descriptions become terms: {' or '.join(TOKENISERS)}."),
    ] = TextSettings.tokeniser,
    language_filter: Annotated[
        str,
        typer.Option(
            help="Which descriptions the textual index leaves out: "
            f"{' or '.join(LANGUAGE_FILTERS)}. Their products are found by image."
        ),
    ] = TextSettings.language_filter,
    max_neighbours: Annotated[
        int | None,
        typer.Option(
            min=1, help="Longest list of text neighbours, the nearest kept.", show_default="any"
        ),
    ] = TextSettings.max_neighbours,
    half_precision: Annotated[
        bool, typer.Option(help="Store float16 descriptors, half the size; they then are exact.")
    ] = False,
) -> None:
    """Build an index from a catalogue; take up a build that was interrupted."""
    triton = TritonConnection(url=triton_url, timeout_s=TRITON_TIMEOUT_S)
    text = TextSettings(
        threshold=threshold,
        tokeniser=tokeniser,
        language_filter=language_filter,
        max_neighbours=max_neighbours,
    )
    _build(catalogue, output, profile, model_repository, engine, triton, text, half_precision)


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
    triton = TritonConnection(url=triton_url, timeout_s=TRITON_TIMEOUT_S)
    if index is None:
        name = f"{dataset.resolve().name}-{find_profile(profile).name}"
        index = Path("build/evaluate") / name
        _build(dataset, index, profile, model_repository, engine, triton, TextSettings())
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


app.command(epilog=picture_commands.CONTACT_SHEET_EXAMPLE)(picture_commands.contact_sheet)
app.command(epilog=picture_commands.ATTENTION_EXAMPLE)(picture_commands.attention)


@app.command(epilog="Example: beauty-export verify build/demo/index")
def verify(
    index: Annotated[Path, typer.Argument(help="Index folder, or one version of it.")],
) -> None:
    """Read every file of an index and compare it with its checksum."""
    bundle = open_index(index)
    bundle.verify()
    _say(f"{bundle.folder}: {len(bundle):,} products, every file as it was written")


def main() -> None:
    """Run the command ``beauty-export``; an error is one line and exit code 1."""
    try:
        app()
    except (RetrievalError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


def _build(
    catalogue: Path,
    output: Path,
    profile: str,
    repository: Path,
    engine: str,
    triton: TritonConnection,
    text: TextSettings,
    half_precision: bool = False,
) -> None:
    """Build an index and say what became of the catalogue's rows."""
    read = read_catalogue(catalogue)
    blank = [row.product_id for row in read.rows if not row.description.strip()]
    if blank:
        named = ", ".join(blank[:DESCRIPTIONS_NAMED]) + (
            " …" if len(blank) > DESCRIPTIONS_NAMED else ""
        )
        _warn(
            f"{len(blank):,} products have an empty description ({named}): they are found by "
            "image only. Fill in the description column to have them refined."
        )
    built = IndexBuild(
        read, find_profile(profile), repository, output, engine, text, triton, half_precision
    ).run()
    manifest = built.manifest
    if manifest is None:
        _say(f"nothing to do: {built.folder} is up to date")
        return
    _say(
        f"{built.folder}: {manifest.products:,} products, {manifest.documents:,} descriptions, "
        f"{manifest.text_pairs:,} text neighbours"
    )
    if left_out := manifest.text["left_out"]:
        languages = ", ".join(f"{language} {count:,}" for language, count in left_out.items())
        _say(
            f"{sum(left_out.values()):,} descriptions are not English ({languages}): their "
            "products are found by image"
        )
    if manifest.rejected:
        _warn(
            f"{manifest.rejected:,} images could not be read and are not in the index; see "
            f"{built.folder / REJECTS_FILE}"
        )
    for name, model in manifest.models.items():
        if model.zero_descriptors:
            _warn(f"{model.zero_descriptors:,} images have an all-zero descriptor by {name}.")
    for warning in (*built.warnings, *manifest.warnings):
        _warn(warning)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _warn(text: str) -> None:
    typer.secho(f"warning: {text}", err=True, fg=typer.colors.YELLOW)
