"""The folder of texts that several machines join: the fit, and its vectors in shards.

::

    texts/
      fit.json                  the manifest; written last, so that its presence says "fitted"
      counts/…                  the term counts of the index, see tfidf
      groups.first.npy, …       rows by equal vectors, see neighbour_lists
      frequencies.npy           int64, (V,): how many of the distinct vectors have each term
      vectors-00000.npz, …      the distinct vectors of each shard: indptr, terms, weights
      pair-00000-00001/         what the join of two shards found, see pair_join

Shard s of K has every K-th distinct vector, from vector s on: so near copies, which often follow
each other in a catalogue, are in different shards, and every pair of shards takes as long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from export.output.finished_folder import damaged_files, read_manifest
from export.text_index.fit import FitCounts, FittedTexts
from export.text_index.neighbour_lists import Groups
from export.text_index.posting_lists import term_frequencies
from export.text_index.settings import TextSettings
from retrieval_server.errors import ShardError
from retrieval_server.index.manifest import WrittenFile

FORMAT_VERSION = 1
FIT_FILE = "fit.json"
COUNTS_FOLDER = "counts"
FREQUENCIES_FILE = "frequencies.npy"
_LATER = "max_neighbours"  # the one setting that the fit does not depend on
_GROUP_FILES = tuple(f"groups.{name}.npy" for name in Groups._fields)


@dataclass(frozen=True, kw_only=True)
class FitManifest:
    """What was fitted, and the files.

    Attributes:
        shards: K, the number of shards.
        settings: the settings of the textual index that the fit depends on.
        texts: digest of the descriptions.
        products: N, the number of descriptions.
        counts: what the fit counted.
        files: size and digest of every other file of the fit, by name.
    """

    shards: int
    settings: Mapping[str, Any]
    texts: str
    products: int
    counts: FitCounts
    files: Mapping[str, WrittenFile]

    @property
    def digest(self) -> str:
        """Digest of all of this, to tell what was joined from what."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """This manifest as plain JSON values."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FitManifest:
        """Read what ``to_json`` wrote, without the format."""
        fields = dict(data)
        fields["counts"] = FitCounts(**fields["counts"])
        fields["files"] = {name: WrittenFile(**file) for name, file in fields["files"].items()}
        return cls(**fields)


def fit_settings(settings: TextSettings) -> dict[str, Any]:
    """The settings that a fit and its joins depend on."""
    return {name: value for name, value in settings.to_json().items() if name != _LATER}


def texts_digest(descriptions: Sequence[str]) -> str:
    """Digest of texts in their order."""
    digest = hashlib.sha256()
    for text in descriptions:
        digest.update(json.dumps(text).encode() + b"\n")
    return digest.hexdigest()


def read_fit(folder: Path) -> FitManifest | None:
    """Read the manifest of a fit; None if the texts are not fitted.

    Raises:
        ShardError: if the manifest is damaged, or of another format.
    """
    return read_manifest(folder / FIT_FILE, FORMAT_VERSION, FitManifest.from_json)


def fit_in(folder: Path) -> FitManifest:
    """The manifest of a fit.

    Raises:
        ShardError: if there is none, or it is damaged.
    """
    manifest = read_fit(folder)
    if manifest is None:
        raise ShardError(f"{folder} holds no fitted texts. {fit_command(folder)}")
    return manifest


def fit_command(folder: Path) -> str:
    """Say how to make a fit."""
    return f"Fit them with: beauty-export fit-texts CATALOGUE --output {folder} --shards NUMBER"


def check_fit_files(folder: Path, manifest: FitManifest, names: Sequence[str]) -> None:
    """Compare files of a fit with their checksums.

    Args:
        folder: the folder of the fit.
        manifest: its manifest.
        names: the files.

    Raises:
        ShardError: naming a file that is missing or damaged.
    """
    for path in damaged_files(folder, {name: manifest.files[name] for name in names}):
        raise ShardError(
            f"{path} is missing or differs from its checksum. Run again: beauty-export fit-texts "
            f"… --output {folder} --shards {manifest.shards}; pairs that are joined are kept."
        )


def read_groups(folder: Path) -> Groups:
    """The rows by equal vectors."""
    return Groups(*(np.load(folder / name) for name in _GROUP_FILES))


def read_vectors(folder: Path, shard: int, terms: int) -> scipy.sparse.csr_matrix:
    """The distinct vectors of one shard.

    Args:
        folder: the folder of the fit.
        shard: which one.
        terms: V.
    """
    with (folder / vectors_file(shard)).open("rb") as opened, np.load(opened) as file:
        indptr = file["indptr"]
        return scipy.sparse.csr_matrix(
            (file["weights"], file["terms"], indptr), (len(indptr) - 1, terms)
        )


def vectors_file(shard: int) -> str:
    """Name of the file with the vectors of a shard."""
    return f"vectors-{shard:05d}.npz"


def write_fitted(folder: Path, fitted: FittedTexts, shards: int) -> list[str]:
    """Write all files of a fit but the manifest and the term counts; overwrites.

    Returns:
        The names of the files of the fit, the term counts with them.
    """
    for name, field in zip(_GROUP_FILES, Groups._fields, strict=True):
        np.save(folder / name, getattr(fitted.groups, field))
    np.save(folder / FREQUENCIES_FILE, term_frequencies(fitted.vectors))
    for shard in range(shards):
        vectors = fitted.vectors[shard::shards]
        with (folder / vectors_file(shard)).open("wb") as file:
            np.savez(
                file,
                indptr=vectors.indptr.astype(np.int64),
                terms=vectors.indices.astype(np.int32),
                weights=vectors.data,
                allow_pickle=False,
            )
    counts = sorted(f"{COUNTS_FOLDER}/{path.name}" for path in (folder / COUNTS_FOLDER).iterdir())
    return [*_GROUP_FILES, FREQUENCIES_FILE, *map(vectors_file, range(shards)), *counts]
