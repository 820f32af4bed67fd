"""The index bundle: everything a search needs, in one immutable folder.

::

    index/
      current                     text file: the version to serve
      lite-3f2a9c01d7e4/          one version, never changed once it is there
        manifest.json             what was built from what; size and SHA-256 of each other file
        descriptors.<model>.npy   see feature_store
        text_neighbours.*.npy     see text_index
        ids, descriptions, images, attributes: .offsets.npy and .bytes.npy, see string_table
        ids.order.npy             int32 (N,): rows by ascending id bytes, to find an id
        rejects.jsonl             catalogue rows that are not in the index, and why

A version is named by its profile and by a digest of its manifest, which holds the digests of all
files: equal input gives an equal folder, byte for byte. It is written under another name, synced
and renamed.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval_server.errors import IndexBundleError, ModelMismatchError, ProfileError
from retrieval_server.feature_store import REBUILD, open_array, open_descriptors
from retrieval_server.profile import Profile
from retrieval_server.string_table import StringTable
from retrieval_server.text_index import TextIndex

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
CURRENT_FILE = "current"
REJECTS_FILE = "rejects.jsonl"
STRING_TABLES = ("ids", "descriptions", "images", "attributes")
ID_ORDER_FILE = "ids.order.npy"


@dataclass(frozen=True)
class IndexedModel:
    """A model as it was when the descriptors were computed.

    Attributes:
        digest: SHA-256 of its ONNX file.
        dimension: length of a descriptor.
        weights: where its weights came from; starts with "random" if they mean nothing.
        zero_descriptors: database images whose descriptor is all zero.
    """

    digest: str
    dimension: int
    weights: str
    zero_descriptors: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a bundle was built from.

    Attributes:
        profile: backbones, side and default α.
        models: by model name.
        products: N, rows of every array.
        rejected: catalogue rows that are not in the index.
        documents: descriptions that the textual index covers.
        text_pairs: ordered pairs (product, neighbour) of the textual index.
        text: parameters of the textual index; ``threshold`` is τ of eq. (7).
    """

    profile: Profile
    models: Mapping[str, IndexedModel]
    products: int
    rejected: int
    documents: int
    text_pairs: int
    text: Mapping[str, Any]

    @property
    def warnings(self) -> list[str]:
        """What a person should know before trusting a result; mostly empty."""
        return [
            f"{model} has {indexed.weights} weights: results mean nothing."
            for model, indexed in self.models.items()
            if indexed.weights.startswith("random")
        ]

    def to_json(self) -> dict[str, Any]:
        """This manifest as plain JSON values, without the files."""
        return {
            "format_version": FORMAT_VERSION,
            "profile": self.profile.to_json(),
            "models": {name: vars(model) for name, model in self.models.items()},
            "products": self.products,
            "rejected": self.rejected,
            "documents": self.documents,
            "text_pairs": self.text_pairs,
            "text": dict(self.text),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Read what ``to_json`` wrote."""
        return cls(
            profile=Profile.from_json(data["profile"]),
            models={name: IndexedModel(**model) for name, model in data["models"].items()},
            products=data["products"],
            rejected=data["rejected"],
            documents=data["documents"],
            text_pairs=data["text_pairs"],
            text=data["text"],
        )


@dataclass(frozen=True)
class Product:
    """A product as the catalogue describes it.

    Attributes:
        product_id: its id.
        description: its description, verbatim.
        image: its image, verbatim: a path relative to the catalogue file.
        attributes: the catalogue's further columns.
    """

    product_id: str
    description: str
    image: str
    attributes: dict[str, str]


class IndexBundle:
    """A version of the index, opened by memory map.

    Args:
        folder: the version's folder.

    Raises:
        IndexBundleError: if it is missing, damaged, or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = folder.name
        data = _read_manifest(folder)
        self.manifest = _parse_manifest(folder, data)
        self._files: Mapping[str, Mapping[str, Any]] = data["files"]
        self._check_sizes()
        self.profile = self.manifest.profile
        self.descriptors = tuple(open_descriptors(folder, m) for m in self.profile.models)
        self.text_index = TextIndex(folder)
        self._tables = {name: StringTable(folder, name) for name in STRING_TABLES}
        self._id_order = open_array(folder / ID_ORDER_FILE, np.int32, 1)
        self._check_rows()

    def __len__(self) -> int:
        return self.manifest.products

    def product(self, row: int) -> Product:
        """What the catalogue says about a row."""
        ids, descriptions, images, attributes = (self._tables[name] for name in STRING_TABLES)
        return Product(ids[row], descriptions[row], images[row], json.loads(attributes[row]))

    def product_id(self, row: int) -> str:
        """The id of a row."""
        return self._tables["ids"][row]

    def row_of(self, product_id: str) -> int | None:
        """The row of an id, or None."""
        ids, wanted = self._tables["ids"], product_id.encode("utf-8", "surrogatepass")
        place = bisect.bisect_left(self._id_order, wanted, key=ids.raw)
        if place == len(self) or ids.raw(row := int(self._id_order[place])) != wanted:
            return None
        return row

    def require_models(self, digests: Mapping[str, str]) -> None:
        """Refuse models other than those that made the descriptors.

        Args:
            digests: SHA-256 of the served ONNX files by model name.

        Raises:
            ModelMismatchError: naming the model and both digests.
        """
        for name, indexed in self.manifest.models.items():
            served = digests.get(name)
            if served != indexed.digest:
                raise ModelMismatchError(
                    f"Index {self.folder} was built with model {name} of digest "
                    f"{indexed.digest[:12]}, but the model repository has "
                    f"{served[:12] if served else 'none'}. Serve the model it was built with, or "
                    "build the index again with: beauty-export index"
                )

    def verify(self) -> None:
        """Read every file and compare it with its checksum; takes a second or two per gigabyte.

        Raises:
            IndexBundleError: naming the first file that differs.
        """
        for name, expected in self._files.items():
            if _sha256(self.folder / name) != expected["sha256"]:
                raise IndexBundleError(
                    f"The index file {self.folder / name} differs from its checksum. {REBUILD}"
                )

    def _check_sizes(self) -> None:
        for name, expected in self._files.items():
            path = self.folder / name
            try:
                size = path.stat().st_size
            except FileNotFoundError as error:
                raise IndexBundleError(f"The index file {path} is missing. {REBUILD}") from error
            if size != expected["bytes"]:
                raise IndexBundleError(
                    f"The index file {path} is truncated or overwritten: the manifest says "
                    f"{expected['bytes']:,} bytes, the file has {size:,}. {REBUILD}"
                )

    def _check_rows(self) -> None:
        rows = {descriptor_rows.shape[0] for descriptor_rows in self.descriptors}
        rows |= {len(self.text_index), len(self._id_order)}
        rows |= {len(table) for table in self._tables.values()}
        widths = tuple(descriptor_rows.shape[1] for descriptor_rows in self.descriptors)
        expected = tuple(self.manifest.models[m].dimension for m in self.profile.models)
        if rows != {self.manifest.products} or widths != expected:
            raise IndexBundleError(
                f"The arrays in {self.folder} contradict its manifest ({self.manifest.products:,} "
                f"products of dimensions {expected}). {REBUILD}"
            )


def open_index(path: Path) -> IndexBundle:
    """Open an index: a version's folder, or the folder whose ``current`` names the version.

    Raises:
        IndexBundleError: if there is none, or it is damaged.
    """
    current = path / CURRENT_FILE
    if current.is_file():
        return IndexBundle(path / current.read_text(encoding="utf-8").strip())
    if (path / MANIFEST_FILE).is_file():
        return IndexBundle(path)
    raise IndexBundleError(f"There is no index at {path}. Build one with: beauty-export index")


def seal(folder: Path, manifest: Manifest) -> str:
    """Write the manifest over the files in a folder and sync them all to disk.

    Args:
        folder: holds every file of the bundle but the manifest.
        manifest: what the bundle was built from.

    Returns:
        The version: the profile's name and a digest of the manifest.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST_FILE
    }
    text = json.dumps({**manifest.to_json(), "files": files}, indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)
    return f"{manifest.profile.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def publish(sealed: Path, root: Path, version: str) -> Path:
    """Move a sealed folder to its version's name and make it the current one.

    Args:
        sealed: what ``seal`` finished; on the same file system as root.
        root: the index folder.
        version: what ``seal`` returned. If it is there already, it stays as it is.

    Returns:
        The version's folder.
    """
    target = root / version
    if not target.exists():
        sealed.rename(target)
    scratch = root / f".{CURRENT_FILE}.{os.getpid()}"
    scratch.write_text(version + "\n", encoding="utf-8")
    _sync(scratch)
    scratch.replace(root / CURRENT_FILE)
    _sync(root)
    return target


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexBundleError(f"Cannot read {path}: {error}. {REBUILD}") from error
    return data


def _parse_manifest(folder: Path, data: Mapping[str, Any]) -> Manifest:
    if data.get("format_version") != FORMAT_VERSION:
        raise IndexBundleError(
            f"Index {folder} has format {data.get('format_version')}, this program reads "
            f"{FORMAT_VERSION}. {REBUILD}"
        )
    try:
        return Manifest.from_json(data)
    except (KeyError, TypeError, ProfileError) as error:
        raise IndexBundleError(
            f"The manifest of {folder} is damaged: {error!r}. {REBUILD}"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
