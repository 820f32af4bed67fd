"""The manifest of an index: its models, catalogue and settings, and the checksums of its files.

``manifest.json`` holds the fields of ``Manifest``, the version of the format, and under ``files``
the size in bytes and the SHA-256 of every other file of the bundle. Keys are sorted, so that equal
manifests are equal files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval_server.attributes.columns import ColumnRecord
from retrieval_server.errors import IndexBundleError, ProfileError
from retrieval_server.exact_search.levels.fit_parameters import SearchRecord
from retrieval_server.models.profile import Profile
from retrieval_server.storage.arrays import REBUILD
from retrieval_server.storage.digest import file_digest
from retrieval_server.storage.json_record import check_types, read_json
from retrieval_server.text.word_search import WordsRecord

FORMAT_VERSION = 8
IMAGES_SINCE = 5  # the first format that stores what `index.images` reads as this one does
COLUMNS_SINCE = 6
MANIFEST_FILE = "manifest.json"
DIGEST_LENGTH = 12  # characters of the manifest's digest in a version's name


@dataclass(frozen=True)
class IndexedModel:
    """The model that computed one backbone's descriptors.

    Attributes:
        digest: SHA-256 of the ONNX file.
        dimension: length of a descriptor.
        weights: source of the weights; starts with "random" if they are not trained.
        zero_descriptors: number of database images whose descriptor is all zero.
    """

    digest: str
    dimension: int
    weights: str
    zero_descriptors: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Models, catalogue and settings that a bundle was built from.

    Attributes:
        profile: backbones, side and default α.
        models: the models that computed the descriptors, by model name.
        preprocessing: name of the rules that turned image files into pixels.
        precision: what the engine computed in, such as ``float32``; None if a Triton computed the
            descriptors, and in an index that does not record it.
        products: N, number of rows of every array.
        rejected: number of catalogue rows that are not in the index.
        documents: number of descriptions in the textual index.
        text_pairs: number of ordered pairs (product, neighbour) in the textual index.
        text: parameters of the textual index; ``threshold`` is τ of eq. (7).
        words: the texts that the words of a query are compared with.
        columns: the catalogue's further columns, in its order; none in a former format.
        search: the levels of the exact search; None for a small database, which needs none.
    """

    profile: Profile
    models: Mapping[str, IndexedModel]
    preprocessing: str
    precision: str | None
    products: int
    rejected: int
    documents: int
    text_pairs: int
    text: Mapping[str, Any]
    words: WordsRecord
    columns: tuple[ColumnRecord, ...]
    search: SearchRecord | None

    @property
    def warnings(self) -> list[str]:
        """Reasons not to trust the results, one sentence each; empty if there are none."""
        return [
            f"{model} has {indexed.weights} weights: results mean nothing."
            for model, indexed in self.models.items()
            if indexed.weights.startswith("random")
        ]

    @property
    def text_warnings(self) -> list[str]:
        """What the build said of the descriptions; empty for an index that does not record it."""
        return list(self.text.get("warnings", ()))

    @property
    def column_warnings(self) -> list[str]:
        """Columns that were meant to be of numbers and are not, one sentence each."""
        return [column.warning for column in self.columns if column.warning]

    def to_json(self) -> dict[str, Any]:
        """This manifest as plain JSON values, without the files."""
        return {
            "format_version": FORMAT_VERSION,
            "profile": self.profile.to_json(),
            "models": {name: vars(model) for name, model in self.models.items()},
            "preprocessing": self.preprocessing,
            "precision": self.precision,
            "products": self.products,
            "rejected": self.rejected,
            "documents": self.documents,
            "text_pairs": self.text_pairs,
            "text": dict(self.text),
            "words": self.words.to_json(),
            "columns": [column.to_json() for column in self.columns],
            "search": self.search.to_json() if self.search else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Read what ``to_json`` wrote, in this format or in one since ``IMAGES_SINCE``."""
        columns = data["columns"] if data["format_version"] >= COLUMNS_SINCE else ()
        return cls(
            profile=Profile.from_json(data["profile"]),
            models={name: IndexedModel(**model) for name, model in data["models"].items()},
            preprocessing=data["preprocessing"],
            precision=data.get("precision"),
            products=data["products"],
            rejected=data["rejected"],
            documents=data["documents"],
            text_pairs=data["text_pairs"],
            text=data["text"],
            words=WordsRecord.from_json(data["words"]),
            columns=tuple(map(ColumnRecord.from_json, columns)),
            search=SearchRecord.from_json(data["search"]) if data["search"] else None,
        )


@dataclass(frozen=True)
class WrittenFile:
    """Size and SHA-256 of a file as it was written."""

    bytes: int
    sha256: str


def read_manifest(
    folder: Path, oldest: int = FORMAT_VERSION
) -> tuple[Manifest, dict[str, WrittenFile]]:
    """Read a bundle's manifest.

    Args:
        folder: folder of the bundle.
        oldest: the oldest format that will do.

    Returns:
        The manifest, and the size and SHA-256 of each file by name.

    Raises:
        IndexBundleError: if the manifest is missing, damaged, or of another format.
    """
    path = folder / MANIFEST_FILE
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise IndexBundleError(f"Cannot read {path}: {error}. {REBUILD}") from error
    if not isinstance(data, dict):
        raise IndexBundleError(f"{path} is not a JSON object. {REBUILD}")
    if data.get("format_version") not in range(oldest, FORMAT_VERSION + 1):
        raise IndexBundleError(
            f"Index {folder} has format {data.get('format_version')}, this program reads "
            f"{FORMAT_VERSION}. {REBUILD}"
        )
    try:
        files = {name: WrittenFile(**written) for name, written in data["files"].items()}
        manifest = Manifest.from_json(data)
        for record in (manifest, *files.values()):
            check_types(record)
        _check_file_names(files)
        return manifest, files
    except (AttributeError, KeyError, TypeError, ValueError, ProfileError) as error:
        raise IndexBundleError(
            f"The manifest of {folder} is damaged: {error!r}. {REBUILD}"
        ) from error


def _check_file_names(names: Iterable[str]) -> None:
    for name in names:
        if not name.isprintable() or "/" in name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is no name of a file")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest with the checksums of all files in a folder; overwrites."""
    files = {
        path.name: asdict(WrittenFile(path.stat().st_size, file_digest(path)))
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST_FILE
    }
    text = json.dumps({**manifest.to_json(), "files": files}, indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def digest_in_name(folder: Path) -> str:
    """The digest of a version's manifest, as the version's name ends with it.

    Raises:
        OSError: if the manifest cannot be read.
    """
    return file_digest(folder / MANIFEST_FILE)[:DIGEST_LENGTH]


def has_its_digest(folder: Path) -> bool:
    """Whether a folder's name ends with the digest of its manifest, so that it is a version.

    Raises:
        OSError: if the manifest cannot be read.
    """
    return folder.name.endswith(f"-{digest_in_name(folder)}")
