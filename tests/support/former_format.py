"""Rewrites a version of the index as the program before wrote it: in format 5, without columns."""

import json
from pathlib import Path

from retrieval_server.index.manifest import MANIFEST_FILE, digest_in_name
from retrieval_server.index.publish import make_current


def as_format_5(version: Path) -> Path:
    """Rewrite a version; it is current afterwards, under the name of its new manifest."""
    manifest = version / MANIFEST_FILE
    data = json.loads(manifest.read_text())
    del data["columns"]
    data["format_version"] = 5
    for path in version.glob("columns.*"):
        del data["files"][path.name]
        path.unlink()
    manifest.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
    former = version.with_name(f"{data['profile']['name']}-{digest_in_name(version)}")
    version.rename(former)
    make_current(former.parent, former.name)
    return former
