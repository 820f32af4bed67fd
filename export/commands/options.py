"""Options of the command line that several commands have, each described once.

Those that the server has as well come from the same environment variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.models.profiles import PROFILES
from retrieval_server.engines.engine import ENGINES, TritonConnection

DEFAULT_REPOSITORY = Path("model_repository")
TRITON_TIMEOUT_S = 120.0  # nobody waits for one image: Triton may be slow, or restart

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
EngineName = Annotated[
    str,
    typer.Option("--engine", envvar="RETRIEVAL_ENGINE", help=f"One of: {', '.join(ENGINES)}."),
]
TritonUrl = Annotated[
    str,
    typer.Option(
        "--triton-url",
        envvar="RETRIEVAL_TRITON_URL",
        help="host:port of Triton's gRPC, for the engine triton.",
    ),
]
TritonTlsCa = Annotated[
    Path | None,
    typer.Option(envvar="RETRIEVAL_TRITON_TLS_CA", help="PEM; a TLS file turns TLS on."),
]
TritonTlsCert = Annotated[
    Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_CERT", help="PEM, for mutual TLS.")
]
TritonTlsKey = Annotated[
    Path | None, typer.Option(envvar="RETRIEVAL_TRITON_TLS_KEY", help="PEM, for mutual TLS.")
]
TritonAccessKey = Annotated[
    str | None,
    typer.Option(
        envvar="RETRIEVAL_TRITON_ACCESS_KEY",
        help="NAME=VALUE of a restricted protocol; safer in the environment.",
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


def patient_triton(
    url: str,
    tls_ca: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    access_key: str | None = None,
) -> TritonConnection:
    """A Triton that is given time.

    Args:
        url: see TritonConnection, and so the rest.
        tls_ca: see TritonConnection.
        tls_cert: see TritonConnection.
        tls_key: see TritonConnection.
        access_key: see TritonConnection.
    """
    return TritonConnection(
        url=url,
        timeout_s=TRITON_TIMEOUT_S,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        access_key=access_key,
    )
