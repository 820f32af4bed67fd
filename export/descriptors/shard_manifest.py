"""The manifest of a finished shard: its models and images, and size and digest of every file.

::

    shard-00003-of-00016/
      shard.json              the manifest; written last, so that its presence says "finished"
      block-0000000.npz, …    see block
      products.json           [[id, image], …] in the order of the blocks' rows
      words-<reader>.txt      see words_file; only if the images were read
      canary.<model>.npy      see retrieval_server.index.reference_image
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.descriptors.shards import Shard
from export.output.finished_folder import read_manifest, write_manifest
from retrieval_server.index.manifest import WrittenFile

FORMAT_VERSION = 3
SHARD_FILE = "shard.json"
PRODUCTS_FILE = "products.json"


@dataclass(frozen=True)
class Unread:
    """Images on which the reader failed, so that the index has no words of them.

    Attributes:
        count: how many there are.
        first: the first one, with the reason; empty if there is none.
    """

    count: int = 0
    first: str = ""


@dataclass(frozen=True, kw_only=True)
class ShardManifest:
    """Catalogue part, models and files of a finished shard.

    Attributes:
        shard: which part of the catalogue.
        models: SHA-256 of each model's ONNX file, by name.
        side: side of the models' input, in pixels.
        preprocessing: name of the rules that turned image files into pixels.
        precision: what the engine computed in; None for a Triton, and in a shard of before.
        source: digest of all that the shard depends on, with sizes and times of the images.
        reader: digest of what read the words on the images; empty if they were not read.
        unread: the images on which the reader failed.
        products: number of images that could be decoded.
        rejected: number of images that could not be decoded.
        files: size and digest of every other file, by name.
    """

    shard: Shard
    models: Mapping[str, str]
    side: int
    preprocessing: str
    precision: str | None = None
    source: str
    reader: str
    unread: Unread
    products: int
    rejected: int
    files: Mapping[str, WrittenFile]

    @property
    def blocks(self) -> list[str]:
        """Names of the blocks, in the order of their rows."""
        return sorted(name for name in self.files if name.startswith("block-"))

    def to_json(self) -> dict[str, Any]:
        """This manifest as plain JSON values."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShardManifest:
        """Read what ``to_json`` wrote, without the format."""
        fields = dict(data)
        fields["shard"] = Shard(**fields["shard"])
        fields["unread"] = Unread(**fields["unread"])
        fields["files"] = {name: WrittenFile(**file) for name, file in fields["files"].items()}
        return cls(**fields)


def all_unread(manifests: Iterable[ShardManifest]) -> Unread:
    """The images of several shards on which the reader failed."""
    each = [manifest.unread for manifest in manifests if manifest.unread.count]
    return Unread(sum(unread.count for unread in each), each[0].first if each else "")


def read_shard_manifest(folder: Path) -> ShardManifest | None:
    """Read a shard's manifest; None if the shard is not finished.

    Raises:
        ShardError: if the manifest is damaged, or of another format.
    """
    return read_manifest(folder / SHARD_FILE, FORMAT_VERSION, ShardManifest.from_json)


def write_shard_manifest(folder: Path, manifest: ShardManifest) -> None:
    """Finish a shard: sync its files to disk, then write the manifest."""
    write_manifest(folder / SHARD_FILE, manifest.to_json(), manifest.files)
