"""Changes of a version's manifest."""

import json
from collections.abc import Callable
from pathlib import Path


def change_manifest(version: Path, change: Callable[[dict], object]) -> None:
    path = version / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
