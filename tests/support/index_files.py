"""What two builds of an index must have in common, whatever engine described the images."""

from pathlib import Path

from retrieval_server.index.manifest import WrittenFile, read_manifest
from retrieval_server.index.publish import open_index


def index_files(root: Path) -> dict[str, WrittenFile]:
    """The size and the checksum of each file of the version that an index serves."""
    _, files = read_manifest(open_index(root).folder)
    return files
