"""A program that is refused a photo."""

import sys
from pathlib import Path

from retrieval_server.errors import ImageError
from retrieval_server.models.preprocessing import read_image


def print_refusal() -> None:
    """Decode the file that the argument names, and print the error."""
    try:
        read_image(Path(sys.argv[1]), 32)
    except ImageError as error:
        sys.stdout.write(str(error))
