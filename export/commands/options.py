"""Options that several commands have, each declared once.

An option that is a setting of the server too is made from its field of ``Settings``, so it has the
same environment variable, default, bounds and help.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from export.descriptors.engine_choice import EngineChoice
from export.evaluation.metrics import RESULTS
from export.models.profiles import PROFILES
from export.text_index.settings import TextSettings
from retrieval_server.engines.engine import TritonConnection
from retrieval_server.errors import RetrievalError
from retrieval_server.serving.setting_options import setting_option, setting_parameter
from retrieval_server.serving.settings import Settings
from retrieval_server.text.language_filter import LANGUAGE_FILTERS
from retrieval_server.text.tokens import TOKENISERS

DEFAULT_REPOSITORY = Settings.model_repository
TRITON_TIMEOUT_S = 120.0  # for a call: offline no person waits for it, and Triton may restart

Command = Callable[..., None]


def _check_tau(given: float | list[float] | None) -> float | list[float] | None:
    """Let ``TextSettings``, which has the bounds of τ, refuse a value."""
    for tau in [given] if isinstance(given, float) else given or []:
        try:
            TextSettings(threshold=tau)
        except RetrievalError as error:
            raise typer.BadParameter(str(error)) from error
    return given


ProfileName = Annotated[
    str,
    typer.Option(
        "--profile",
        envvar="BEAUTY_EXPORT_PROFILE",
        help=f"One of {', '.join(PROFILES)}, or a .toml file.",
    ),
]
Dataset = Annotated[
    Path, typer.Argument(help="Folder with catalog.csv and ground_truth.csv, or Perfect-500K's.")
]
GroundTruth = Annotated[
    Path | None, typer.Option(help="File of the true matches; the folder's if not given.")
]
Repository = Annotated[Path, setting_option("model_repository")]
MaxLoss = Annotated[float, setting_option("max_loss")]
KeepVersions = Annotated[
    int | None,
    typer.Option(
        envvar="BEAUTY_EXPORT_KEEP_VERSIONS",
        min=1,
        help="How many finished versions to keep: the current one and the newest others. Older "
        "ones that no process has open are removed.",
        show_default="all",
    ),
]
Tau = Annotated[
    float,
    typer.Option(
        "--threshold", help="τ of the textual index, between 0 and 1.", callback=_check_tau
    ),
]
TausToTry = Annotated[
    list[float] | None,
    typer.Option(
        "--threshold",
        help="τ to try, between 0 and 1.",
        show_default="0.4 to 0.8",
        callback=_check_tau,
    ),
]
Keep = Annotated[
    int,
    typer.Option(
        "-k", "--keep", min=1, max=RESULTS, help=f"The paper's k; {RESULTS}: no refinement."
    ),
]
RefiningKeep = Annotated[
    int, typer.Option("-k", "--keep", min=1, max=RESULTS - 1, help="The paper's k.")
]
KeepsToTry = Annotated[
    list[int] | None,
    typer.Option(
        "-k",
        "--keep",
        min=1,
        max=RESULTS,
        help=f"k to try; {RESULTS} is no refinement.",
        show_default=f"1 to {RESULTS}",
    ),
]
Tokeniser = Annotated[
    str, typer.Option(help=f"How descriptions become terms: {' or '.join(TOKENISERS)}.")
]
LanguageFilter = Annotated[
    str,
    typer.Option(
        help=f"Which descriptions the textual index leaves out: {' or '.join(LANGUAGE_FILTERS)}. "
        "Their products are found by image."
    ),
]
ReadImages = Annotated[
    bool | None,
    typer.Option(
        "--read-images/--no-read-images",
        envvar="BEAUTY_EXPORT_READ_IMAGES",
        help="Read the words on the images, for searches by words.",
        show_default="no; with --from-shards: as the shards",
    ),
]
ShardNumber = Annotated[
    int,
    typer.Option(
        "--shard",
        envvar="JOB_COMPLETION_INDEX",  # what an Indexed Job of Kubernetes gives its pods
        min=0,
        help="Which shard, from 0.",
    ),
]


def engine_choice(
    *,
    model_repository: Path,
    engine: str,
    triton_url: str,
    triton_tls_ca: Path | None,
    triton_tls_cert: Path | None,
    triton_tls_key: Path | None,
    triton_access_key: str | None,
) -> EngineChoice:
    """The engine that a command line chooses; each parameter is a setting of the server."""
    triton = TritonConnection(
        url=triton_url,
        timeout_s=TRITON_TIMEOUT_S,
        tls_ca=triton_tls_ca,
        tls_cert=triton_tls_cert,
        tls_key=triton_tls_key,
        access_key=triton_access_key,
    )
    return EngineChoice(model_repository, engine, triton)


def engine_options(command: Command) -> Command:
    """Add the options of the engine to a command, which gets their value as ``engine``.

    There is one option for each parameter of ``engine_choice``. In the signature that Typer reads,
    they replace the command's parameter of type ``EngineChoice``, so the help lists them at its
    position.
    """
    options = [setting_parameter(name) for name in inspect.signature(engine_choice).parameters]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        chosen = {option.name: values.pop(option.name) for option in options}
        command(engine=engine_choice(**chosen), **values)

    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options if parameter.annotation is EngineChoice else [parameter]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run
