"""Options of the command line that several commands have, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from export.profiles import PROFILES
from retrieval_server.engines import ENGINES, TritonConnection

DEFAULT_REPOSITORY = Path("model_repository")
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


def patient_triton(url: str) -> TritonConnection:
    """A Triton that is given time.

    Args:
        url: host:port of its gRPC.
    """
    return TritonConnection(url=url, timeout_s=TRITON_TIMEOUT_S)
