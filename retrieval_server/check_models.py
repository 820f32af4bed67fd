"""Looks whether a profile's models are complete: ``python -m`` this REPOSITORY PROFILE."""

from __future__ import annotations

import sys
from pathlib import Path

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.model_repository import ModelRepository


def main() -> None:
    """Run the command; exit status 1 with what is missing."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m retrieval_server.check_models REPOSITORY PROFILE")
    try:
        models = ModelRepository(Path(sys.argv[1])).ensemble(sys.argv[2])
    except ModelRepositoryError as error:
        sys.exit(f"error: {error}")
    for model in models:
        sys.stderr.write(f"{model.name}: {model.digest}\n")


if __name__ == "__main__":
    main()
