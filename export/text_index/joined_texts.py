"""The textual index of texts that several machines have joined, or why it cannot be made of them.

It equals, byte for byte, the index that one machine makes: the vectors and the order in which a
cosine is added up are those of the fit, and the lists are sorted.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.output.finished_folder import damaged_files
from export.output.folder import LOCK_FILE
from export.progress import progress
from export.text_index.build import TextIndexReport, write_lists
from export.text_index.fit_folder import (
    COUNTS_FOLDER,
    FIT_FILE,
    FitManifest,
    check_fit_files,
    fit_command,
    fit_in,
    fit_settings,
    read_fit,
    read_groups,
    texts_digest,
)
from export.text_index.pair_file import PairFiles
from export.text_index.pair_join import PAIRS_FILE, JoinedPair, read_joined_pair, shard_pairs
from export.text_index.settings import TextSettings
from retrieval_server.errors import ShardError

NAMED = 5  # missing pairs to name in an error


@dataclass(frozen=True)
class JoinedTexts:
    """Texts of which every pair of shards is joined.

    Attributes:
        folder: the folder of the fit.
        fit: its manifest.
        pairs: the results, by the number of their task.
    """

    folder: Path
    fit: FitManifest
    pairs: Sequence[JoinedPair]

    def check_texts(self, descriptions: Sequence[str]) -> None:
        """Refuse texts that are not those of the index.

        Args:
            descriptions: one text for each product of the index.

        Raises:
            ShardError: if others were fitted.
        """
        if texts_digest(descriptions) != self.fit.texts:
            raise ShardError(
                f"The {self.fit.products:,} texts in {self.folder} are not those of the "
                f"{len(descriptions):,} products of this index. {fit_command(self.folder)}; with "
                "--from-shards, it leaves out the products whose image could not be read."
            )

    def write(
        self, descriptions: Sequence[str], folder: Path, max_neighbours: int | None
    ) -> TextIndexReport:
        """Write the textual index and the term counts, after a check of every file.

        Args:
            descriptions: one text for each product of the index.
            folder: gets the files.
            max_neighbours: the longest list allowed; None allows any.

        Raises:
            ShardError: naming a file that is missing or damaged.
            OSError: if the disk is full.
        """
        check_fit_files(self.folder, self.fit, sorted(self.fit.files))
        paths = self._checked_pairs()
        for path in (self.folder / COUNTS_FOLDER).iterdir():
            shutil.copyfile(path, folder / path.name)
        return write_lists(
            folder,
            descriptions,
            self.fit.counts,
            read_groups(self.folder),
            PairFiles(paths),
            max_neighbours,
        )

    def _checked_pairs(self) -> list[Path]:
        """The files with the pairs, each compared with its checksum."""
        paths = []
        with progress("pairs of shards", len(self.pairs)) as advance:
            for number, (pair, joined) in enumerate(
                zip(shard_pairs(self.fit.shards), self.pairs, strict=True)
            ):
                target = self.folder / pair.folder_name
                for path in damaged_files(target, joined.files):
                    raise ShardError(
                        f"{path} is missing or differs from its checksum. "
                        f"{_again(self.folder, number)}"
                    )
                paths.append(target / PAIRS_FILE)
                advance(1)
        return paths


def open_joined_texts(folder: Path, settings: TextSettings) -> JoinedTexts:
    """Open texts of which every pair of shards is joined.

    Args:
        folder: the folder of the fit.
        settings: the settings of the index.

    Raises:
        ShardError: if the texts are not fitted or with other settings, or if a pair is missing or
            of another fit; names it.
    """
    fit = fit_in(folder)
    for name, value in fit_settings(settings).items():
        if fit.settings.get(name) != value:
            raise ShardError(
                f"The texts in {folder} were fitted with --{name.replace('_', '-')} "
                f"{fit.settings.get(name)}, the index has {value}. Give both commands the same."
            )
    found: list[JoinedPair] = []
    missing: list[int] = []
    for number, pair in enumerate(shard_pairs(fit.shards)):
        joined = read_joined_pair(folder / pair.folder_name)
        if joined is None:
            missing.append(number)
        elif joined.fit != fit.digest:
            raise ShardError(
                f"{folder / pair.folder_name} was joined before the texts were fitted again. "
                f"{_again(folder, number)}"
            )
        else:
            found.append(joined)
    if missing:
        named = ", ".join(map(str, missing[:NAMED])) + (" …" if len(missing) > NAMED else "")
        raise ShardError(
            f"Of the {len(missing) + len(found)} pairs of shards in {folder}, {len(missing)} are "
            f"not joined: {named}. Join each with: beauty-export join-texts {folder} --pair NUMBER"
        )
    return JoinedTexts(folder, fit, found)


def remove_joined_texts(folder: Path) -> None:
    """Remove a fit and what was joined; the manifest of the fit goes last.

    Args:
        folder: the folder of the fit; it is removed, too, if nothing else is in it.

    Raises:
        ShardError: if the manifest is damaged.
    """
    fit = read_fit(folder)
    if fit is None:
        return
    for pair in shard_pairs(fit.shards):
        shutil.rmtree(folder / pair.folder_name, ignore_errors=True)
    for name in (*fit.files, LOCK_FILE):
        (folder / name).unlink(missing_ok=True)
    (folder / FIT_FILE).unlink()
    with contextlib.suppress(OSError):
        (folder / COUNTS_FOLDER).rmdir()
        folder.rmdir()


def _again(folder: Path, number: int) -> str:
    return f"Run again: beauty-export join-texts {folder} --pair {number}"
