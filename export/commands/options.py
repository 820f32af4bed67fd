"""Options that several commands have, each declared once.

An option that the server has too is read from the same environment variable.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from export.descriptors.engine_choice import EngineChoice
from export.models.profiles import PROFILES
from retrieval_server.engines.engine import ENGINES, TritonConnection

DEFAULT_REPOSITORY = Path("model_repository")
TRITON_TIMEOUT_S = 120.0  # for a call: offline no person waits for it, and Triton may restart
SECURING = ("triton_tls_ca", "triton_tls_cert", "triton_tls_key", "triton_access_key")

Command = Callable[..., None]

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
Repository = Annotated[
    Path,
    typer.Option(
        "--model-repository", envvar="RETRIEVAL_MODEL_REPOSITORY", help="Folder with the models."
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
    model_repository: Repository = DEFAULT_REPOSITORY,
    engine: Annotated[
        str,
        typer.Option(envvar="RETRIEVAL_ENGINE", help=f"One of: {', '.join(ENGINES)}."),
    ] = ENGINES[0],
    triton_url: Annotated[
        str,
        typer.Option(
            envvar="RETRIEVAL_TRITON_URL", help="host:port of Triton's gRPC, for the engine triton."
        ),
    ] = TritonConnection.url,
    triton_tls_ca: Annotated[
        Path | None,
        typer.Option(envvar="RETRIEVAL_TRITON_TLS_CA", help="PEM; a TLS file turns TLS on."),
    ] = None,
    triton_tls_cert: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_CERT", help="PEM, for mutual TLS.")
    ] = None,
    triton_tls_key: Annotated[
        Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_KEY", help="PEM, for mutual TLS.")
    ] = None,
    triton_access_key: Annotated[
        str | None,
        typer.Option(
            envvar="RETRIEVAL_TRITON_ACCESS_KEY",
            help="NAME=VALUE of a restricted protocol; safer in the environment.",
        ),
    ] = None,
) -> EngineChoice:
    """The engine that a command line chooses; ``engine_options`` adds these options to commands."""
    triton = TritonConnection(
        url=triton_url,
        timeout_s=TRITON_TIMEOUT_S,
        tls_ca=triton_tls_ca,
        tls_cert=triton_tls_cert,
        tls_key=triton_tls_key,
        access_key=triton_access_key,
    )
    return EngineChoice(model_repository, engine, triton)


def engine_options(*, secured: bool) -> Callable[[Command], Command]:
    """Add the options of ``engine_choice`` to a command, which gets their value as ``engine``.

    In the signature that Typer reads, the options replace the command's parameter of type
    ``EngineChoice``, so the help lists them at its position.

    Args:
        secured: whether to add the options for TLS and for the access key.
    """
    options = [
        option
        for option in inspect.signature(engine_choice, eval_str=True).parameters.values()
        if secured or option.name not in SECURING
    ]

    def with_options(command: Command) -> Command:
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

    return with_options
