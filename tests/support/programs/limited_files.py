"""The command ``beauty-export`` on a disk that fills up."""

import resource
import sys

from export.cli import main


def export_to_small_files() -> None:
    """Run ``beauty-export``; no file may get longer than the first argument, in bytes."""
    largest = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    main()
