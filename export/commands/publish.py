"""The command that makes a finished version of an index the current one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from export.commands.index_summary import retention_summary
from export.commands.messages import Message, tell
from export.commands.options import KeepVersions
from export.output.folder import lock_folder
from retrieval_server.errors import IndexBundleError
from retrieval_server.index.bundle import IndexBundle
from retrieval_server.index.current_lock import current_lock
from retrieval_server.index.loss import loss_between
from retrieval_server.index.manifest import MANIFEST_FILE, read_manifest
from retrieval_server.index.publish import (
    finished_versions,
    is_version,
    make_current,
    readable_current,
)
from retrieval_server.index.retention import Retention, remove_old_versions

VERSIONS_LISTED = 10


def publish(
    index: Annotated[Path, typer.Argument(help="Index folder.")],
    version: Annotated[
        str | None,
        typer.Argument(help="Version to serve.", show_default="an error that lists the versions"),
    ] = None,
    *,
    keep_versions: KeepVersions = None,
) -> None:
    """Make a finished version of an index the current one, whatever it has lost.

    Use it for a version that a build has kept but not published, and to go back to an older one.
    Every file is first compared with its checksum. Running servers then serve the version.

    Example: beauty-export publish build/demo/index lite-3f2a9c01d7e4
    """
    folder = _chosen(index, version)
    bundle = IndexBundle(folder)
    bundle.verify()
    with lock_folder(index, "Wait for it."):
        with current_lock(index):
            old = readable_current(index)
            make_current(index, folder.name, is_approved=True)
        retention = Retention()
        if keep_versions is not None:
            retention = remove_old_versions(index, keep_versions, [old])
    tell(_summary(bundle, old))
    tell(retention_summary(retention))


def _chosen(index: Path, version: str | None) -> Path:
    """The folder of a version, which is given by its name or as a path in the index folder."""
    versions = finished_versions(index) if index.is_dir() else []
    if not versions:
        if is_version(index):
            raise typer.BadParameter(
                f"{index} is a version. Give its index folder first: {index.parent} {index.name}",
                param_hint="INDEX",
            )
        raise typer.BadParameter(
            f"There is no finished version in {index}. Build one with: beauty-export index",
            param_hint="INDEX",
        )
    if version is not None:
        name = version.rstrip("/")
        for each in versions:
            if name == each or Path(name).resolve() == (index / each).resolve():
                return index / each
    problem = "Missing." if version is None else f"There is no version {version!r} in {index}."
    raise typer.BadParameter(f"{problem} {_choice(index, versions)}", param_hint="VERSION")


def _choice(index: Path, versions: list[str]) -> str:
    current = readable_current(index)
    listed = [
        _description(index / version) + (", current)" if version == current else ")")
        for version in versions[:VERSIONS_LISTED]
    ]
    more = f" and {len(versions) - len(listed):,} older ones" if len(versions) > len(listed) else ""
    return f"Choose one of: {'; '.join(listed)}{more}."


def _description(folder: Path) -> str:
    built = datetime.fromtimestamp((folder / MANIFEST_FILE).stat().st_mtime).astimezone()
    try:
        products = f"{read_manifest(folder)[0].products:,} products"
    except IndexBundleError:
        products = "not readable by this program"
    return f"{folder.name} ({products}, built {built:%Y-%m-%d %H:%M %Z}"


def _summary(bundle: IndexBundle, old: str | None) -> Iterator[Message]:
    folder = bundle.folder
    if old == bundle.version:
        yield Message(f"{folder}: {len(bundle):,} products, is current and approved")
        return
    replaced = "" if old is None else f" in place of {old}"
    yield Message(f"{folder}: {len(bundle):,} products, is current{replaced}")
    loss = None if old is None else loss_between(folder.parent / old, folder)
    if loss is not None and str(loss):
        yield Message(f"compared with {old}: {loss}", is_warning=True)
