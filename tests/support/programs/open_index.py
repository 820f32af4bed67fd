"""A process that has a version of an index open until it is killed, or its stdin is closed."""

import sys
from pathlib import Path

from retrieval_server.index.bundle import IndexBundle


def hold_open(folder: Path) -> None:
    bundle = IndexBundle(folder)
    sys.stdout.write(f"{bundle.version}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    hold_open(Path(sys.argv[1]))
