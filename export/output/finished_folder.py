"""A finished folder: size and digest of its files, in a manifest that is written last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from retrieval_server.errors import ShardError
from retrieval_server.index.manifest import WrittenFile
from retrieval_server.storage.arrays import sync
from retrieval_server.storage.digest import file_digest
from retrieval_server.storage.json_record import check_types, read_json

Manifest = TypeVar("Manifest")


def written_files(folder: Path, names: Iterable[str]) -> dict[str, WrittenFile]:
    """Size and SHA-256 of some files of a folder, by name."""
    return {
        name: WrittenFile((folder / name).stat().st_size, file_digest(folder / name))
        for name in names
    }


def damaged_files(folder: Path, files: Mapping[str, WrittenFile]) -> Iterator[Path]:
    """Files that are missing or differ from what was written; reads all of them, one by one."""
    for name, written in files.items():
        path = folder / name
        try:
            is_same = path.stat().st_size == written.bytes and file_digest(path) == written.sha256
        except OSError:
            is_same = False
        if not is_same:
            yield path


def write_manifest(path: Path, data: Mapping[str, Any], files: Iterable[str]) -> None:
    """Finish a folder: sync its files to disk, then write the manifest and rename it into place.

    Args:
        path: the manifest, in the folder.
        data: its content, as plain JSON values.
        files: names of the other files.
    """
    for name in files:
        sync(path.parent / name)
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    sync(scratch)
    scratch.replace(path)
    sync(path.parent)


def read_manifest(
    path: Path, format_version: int, parse: Callable[[Mapping[str, Any]], Manifest]
) -> Manifest | None:
    """Read the manifest of a folder; None if the folder is not finished.

    Args:
        path: the manifest.
        format_version: the format that this program reads.
        parse: makes the manifest of its plain JSON values, without those of the format.

    Raises:
        ShardError: if the manifest is damaged, or of another format.
    """
    try:
        data = read_json(path)
        found = data.pop("format_version")
        if found != format_version:
            raise ShardError(f"{path} has format {found}, this program reads {format_version}.")
        manifest = parse(data)
        check_types(manifest)
        return manifest
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShardError(f"{path} is damaged: {error!r}.") from error
