"""Copies the models of one profile: ``python -m`` this REPOSITORY PROFILE OUTPUT."""

from __future__ import annotations

import sys
from pathlib import Path

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository


def main() -> None:
    """Run the command; exit status 1 with what is missing."""
    if len(sys.argv) != 4:
        sys.exit("usage: python -m retrieval_server.models.copy_models REPOSITORY PROFILE OUTPUT")
    repository, profile, output = sys.argv[1:]
    try:
        models = ModelRepository(Path(repository)).copy_ensemble(profile, Path(output))
    except ModelRepositoryError as error:
        sys.exit(f"error: {error}")
    for model in models:
        sys.stderr.write(f"{model.name}: {model.digest}\n")


if __name__ == "__main__":
    main()
