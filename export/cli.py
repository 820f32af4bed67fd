"""The command ``beauty-export``: everything that is done before the server starts."""

from __future__ import annotations

import inspect

import typer

from export.commands.calibrate import calibrate
from export.commands.compact import compact
from export.commands.evaluate import evaluate, predict
from export.commands.index import extract, index, verify
from export.commands.load import load
from export.commands.onnx import onnx
from export.commands.options import Command
from export.commands.pictures import attention, contact_sheet
from export.commands.publish import publish
from export.commands.sample import sample
from export.commands.texts import fit_texts, join_texts
from export.commands.tune import augmentation, tune
from retrieval_server.command_line.outcome import BAD_INPUT, FAILED, one_line_outcome
from retrieval_server.command_line.output_file import OutputError
from retrieval_server.errors import (
    CalibrationError,
    CatalogueError,
    IndexLossError,
    ProfileError,
    RetrievalError,
    ShardError,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Export models, build an index, measure how good it is.",
)

COMMANDS: tuple[Command, ...] = (  # in the order in which people need them
    onnx,
    sample,
    index,
    extract,
    fit_texts,
    join_texts,
    verify,
    publish,
    compact,
    load,
    evaluate,
    calibrate,
    predict,
    tune,
    augmentation,
    contact_sheet,
    attention,
)
FAILURES = {
    CalibrationError: BAD_INPUT,
    CatalogueError: BAD_INPUT,
    IndexLossError: BAD_INPUT,
    ProfileError: BAD_INPUT,
    ShardError: BAD_INPUT,
    RetrievalError: FAILED,
    OutputError: FAILED,
}


def main() -> None:
    """Run the command ``beauty-export``; an error is one line."""
    with one_line_outcome("beauty-export", "'.[export]'", FAILURES):
        app(prog_name="beauty-export")


def _register(command: Command) -> None:
    """Add a command whose docstring ends with an example: the help shows it below the options."""
    text, _, example = (inspect.getdoc(command) or "").rpartition("\n\n")
    app.command(help=text, epilog=" ".join(example.split()))(command)


for _command in COMMANDS:
    _register(_command)
