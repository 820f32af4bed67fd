"""The join of one pair of shards of fitted texts: one task of a job on several machines.

Each pair of shards is joined once, and each shard with itself: K shards make K (K + 1) / 2 tasks. A
task reads the vectors of its two shards and nothing else of the catalogue. It can run twice, and a
task that was stopped is repeated whole.

::

    pair-00000-00001/
      pair.json       the manifest; written last, so that its presence says "joined"
      pairs.bin       the pairs found, as pair_file has them, by number of the distinct vector
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from export.output.finished_folder import (
    damaged_files,
    read_manifest,
    write_manifest,
    written_files,
)
from export.output.folder import output_folder
from export.progress import progress
from export.text_index.fit_folder import (
    FREQUENCIES_FILE,
    FitManifest,
    check_fit_files,
    fit_in,
    read_vectors,
    vectors_file,
)
from export.text_index.join import join
from export.text_index.pair_file import PairFile
from retrieval_server.errors import ShardError
from retrieval_server.index.manifest import WrittenFile

FORMAT_VERSION = 1
PAIR_FILE = "pair.json"
PAIRS_FILE = "pairs.bin"


@dataclass(frozen=True)
class ShardPair:
    """Two shards to join, or one with itself.

    Attributes:
        first: the first shard.
        second: the second, not before the first.
    """

    first: int
    second: int

    @property
    def folder_name(self) -> str:
        """Name of the folder of the result."""
        return f"pair-{self.first:05d}-{self.second:05d}"


def shard_pairs(shards: int) -> list[ShardPair]:
    """All pairs of shards, by the number of their task."""
    return [ShardPair(*pair) for pair in combinations_with_replacement(range(shards), 2)]


@dataclass(frozen=True)
class JoinedPair:
    """What the join of a pair of shards found.

    Attributes:
        fit: digest of the fit.
        compared: how many pairs of vectors were compared.
        pairs: how many of them are more similar than the threshold.
        files: size and digest of the file with these pairs.
    """

    fit: str
    compared: int
    pairs: int
    files: Mapping[str, WrittenFile]

    def to_json(self) -> dict[str, Any]:
        """This manifest as plain JSON values."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JoinedPair:
        """Read what ``to_json`` wrote, without the format."""
        files = {name: WrittenFile(**file) for name, file in data["files"].items()}
        return cls(**{**data, "files": files})


def join_pair(folder: Path, number: int) -> tuple[JoinedPair, bool]:
    """Join one pair of shards, unless it is joined.

    Args:
        folder: the folder of the fit.
        number: which pair, from 0 in the order of ``shard_pairs``.

    Returns:
        The result, and whether this run made it.

    Raises:
        ShardError: if the texts are not fitted, there is no such pair, or a shard is damaged.
        RetrievalError: if the disk is full, or another process joins the same pair.
    """
    manifest = fit_in(folder)
    pair = find_pair(manifest, number)
    shards = sorted({pair.first, pair.second})
    target = folder / pair.folder_name
    with output_folder(target):
        if (joined := _finished(target, manifest)) is not None:
            return joined, False
        (target / PAIR_FILE).unlink(missing_ok=True)
        check_fit_files(folder, manifest, [FREQUENCIES_FILE, *map(vectors_file, shards)])
        joined = _join(folder, manifest, pair)
        write_manifest(target / PAIR_FILE, joined.to_json(), joined.files)
        return joined, True


def find_pair(manifest: FitManifest, number: int) -> ShardPair:
    """The pair of a task.

    Args:
        manifest: of the fit.
        number: of the task.

    Raises:
        ShardError: if there is no such pair.
    """
    pairs = shard_pairs(manifest.shards)
    if number >= len(pairs):
        raise ShardError(
            f"There is no pair {number}: the {manifest.shards} shards make {len(pairs)} pairs, "
            f"from 0 to {len(pairs) - 1}."
        )
    return pairs[number]


def read_joined_pair(folder: Path) -> JoinedPair | None:
    """Read the manifest of a joined pair; None if the pair is not joined.

    Raises:
        ShardError: if the manifest is damaged, or of another format.
    """
    return read_manifest(folder / PAIR_FILE, FORMAT_VERSION, JoinedPair.from_json)


def _finished(target: Path, manifest: FitManifest) -> JoinedPair | None:
    """The result that is there, if it is whole and of this fit."""
    try:
        joined = read_joined_pair(target)
    except ShardError:
        return None
    if joined is None or joined.fit != manifest.digest or any(damaged_files(target, joined.files)):
        return None
    return joined


def _join(folder: Path, manifest: FitManifest, pair: ShardPair) -> JoinedPair:
    """Join a pair of shards, and write the pairs found."""
    terms = manifest.counts.terms
    sides = [
        read_vectors(folder, shard, terms) for shard in dict.fromkeys((pair.first, pair.second))
    ]
    vectors = scipy.sparse.vstack(sides, format="csr")
    numbers = np.concatenate(
        [
            shard + manifest.shards * np.arange(side.shape[0])
            for shard, side in zip((pair.first, pair.second), sides, strict=False)
        ]
    ).astype(np.int32)
    target = folder / pair.folder_name
    with (
        PairFile(target, name=PAIRS_FILE, numbers=numbers) as found,
        progress("descriptions", vectors.shape[0]) as advance,
    ):
        compared = join(
            vectors,
            manifest.settings["threshold"],
            found,
            advance,
            first_new=sides[0].shape[0] if len(sides) > 1 else 0,
            only_across=len(sides) > 1,
            frequencies=np.load(folder / FREQUENCIES_FILE),
        )
        pairs = len(found)
    files = written_files(target, [PAIRS_FILE])
    return JoinedPair(manifest.digest, compared, pairs, files)
