"""The command ``beauty-export``: everything that is done before the server starts."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from export.commands import pictures
from export.commands.evaluate import EVALUATE_EXAMPLE, PREDICT_EXAMPLE, evaluate, predict
from export.commands.index import EXTRACT_EXAMPLE, INDEX_EXAMPLE, extract, index
from export.commands.messages import say, warn
from export.commands.options import DEFAULT_REPOSITORY, ProfileName, Repository
from export.commands.tune import AUGMENTATION_EXAMPLE, TUNE_EXAMPLE, augmentation, tune
from export.models.profiles import LITE, find_profile
from export.progress import Advance, progress
from retrieval_server.errors import CatalogueError, ProfileError, RetrievalError, ShardError
from retrieval_server.index.publish import open_index

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
app.command(epilog=EVALUATE_EXAMPLE)(evaluate)
app.command(epilog=PREDICT_EXAMPLE)(predict)
app.command(epilog=TUNE_EXAMPLE)(tune)
app.command(epilog=AUGMENTATION_EXAMPLE)(augmentation)


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
        from export.models.backbones import RANDOM_WEIGHTS, weights_choices
        from export.models.build_model_repository import export_profile
    except ModuleNotFoundError as error:
        raise RetrievalError(
            f"The export needs {error.name}. Install it with: pip install '.[export]'"
        ) from error
    chosen = find_profile(profile)
    choices = weights_choices(chosen, checkpoint or (), random_seed)
    exported = export_profile(chosen, model_repository, choices, lambda model: say(f"{model} …"))
    for result in exported:
        parity = result.parity
        checked = "is there already"
        if parity is not None:
            checked = (
                f"agrees with PyTorch: cosine ≥ {parity.min_cosine:.7f}, difference ≤ "
                f"{parity.max_difference:.1e}"
            )
        say(f"{result.model}: {result.dimension} values, weights: {result.weights}; {checked}")
        if result.weights.startswith(RANDOM_WEIGHTS):
            warn(f"{result.model} has random weights: results will mean nothing.")


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
    say(f"sample catalogue: {folder}")


app.command(epilog=pictures.CONTACT_SHEET_EXAMPLE)(pictures.contact_sheet)
app.command(epilog=pictures.ATTENTION_EXAMPLE)(pictures.attention)


@app.command(epilog="Example: beauty-export verify build/demo/index")
def verify(
    index: Annotated[Path, typer.Argument(help="Index folder, or one version of it.")],
) -> None:
    """Read every file of an index and compare it with its checksum."""
    bundle = open_index(index)
    bundle.verify()
    say(f"{bundle.folder}: {len(bundle):,} products, every file as it was written")


def main() -> None:
    """Run the command ``beauty-export``; an error is one line and exit code 1, or ``BAD_INPUT``."""
    try:
        app()
    except (RetrievalError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_INPUT if isinstance(error, BAD_INPUT_ERRORS) else 1)
