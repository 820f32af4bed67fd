"""Builds images without Docker: buildah with chroot isolation, in a storage folder of its own.

The bases that the Dockerfile names cannot be had on every machine. ``mmdebstrap`` makes a Debian
with Python in place of the one. The other one is the same with the tritonserver from pip and our
own backend, see deploy/local_triton/README.md.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PROGRAMS = ("buildah", "mmdebstrap", "ip", "unshare", "nsenter")
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,libpython3.11,ca-certificates,curl"
TRITON_BASE = Path(__file__).with_name("triton_base.Dockerfile")
LOCAL_TRITON = ROOT / "deploy" / "local_triton"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as in the named bases
DOCKERFILE = "deploy/images/Dockerfile"
BASES = {"PYTHON_IMAGE": "localhost/python", "TRITON_IMAGE": "localhost/tritonserver"}


def what_is_missing() -> str:
    """Why images cannot be built on this machine; empty if they can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: apt-get install buildah mmdebstrap iproute2)"
    return "" if os.geteuid() == 0 else "needs root, for a file system and a network of its own"


@dataclass(frozen=True)
class Builder:
    """buildah, with all that it keeps in one folder.

    Attributes:
        folder: where it keeps images and containers; removed at the end.
    """

    folder: Path

    def run(self, *words: object) -> str:
        """One command of buildah; what it prints."""
        storage = ["--root", self.folder / "storage", "--runroot", self.folder / "run"]
        command = ["buildah", *storage, "--storage-driver", "overlay", *words]
        done = subprocess.run(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout.strip()

    def make_bases(self) -> None:
        """Make the images that take the place of those that the Dockerfile names."""
        tree = self.folder / "debian.tar"
        debian = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree)]
        done = subprocess.run(debian, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        container = self.run("from", "scratch")
        self.run("add", container, tree, "/")
        self.run("config", f"--env=PATH={PATH}", container)
        tree.unlink()
        self.run("commit", "--rm", container, BASES["PYTHON_IMAGE"])
        self.build(TRITON_BASE, LOCAL_TRITON, BASES["TRITON_IMAGE"])

    def build(self, dockerfile: Path, context: Path, image: str, *options: str) -> str:
        """Build an image; what buildah prints."""
        bases = [f"--build-arg={name}={value}" for name, value in BASES.items()]
        volumes = [f"--volume={path}:{path}:ro" for path in files_of_pip()]
        how = [
            "--isolation=chroot",
            "--format=docker",
            "--layers",
            "--pull-never",
            "--network=host",
        ]
        return self.run(
            "build", *how, *bases, *volumes, *options, "--file", dockerfile, "--tag", image, context
        )

    def configuration(self, image: str) -> dict[str, Any]:
        """What an image says of its user, environment, commands and health check."""
        inspected = json.loads(self.run("inspect", "--type", "image", image))
        return dict(inspected["Docker"]["config"])

    def mounted(self, image: str) -> Path:
        """The file system of a new container of an image."""
        container = self.run("from", "--pull-never", image)
        return Path(self.run("mount", container))

    def close(self) -> None:
        """Remove all containers, images and files."""
        self.run("rm", "--all")
        shutil.rmtree(self.folder)


def files_of_pip() -> list[Path]:
    """The files that configure pip for all users of this machine, to be read in a build."""
    told = ["python3", "-m", "pip", "config", "debug"]
    text = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    paths = sorted({Path(path) for path in re.findall(r"(/[\w./-]+)", text)})
    return [path for path in paths if path.is_file() and not path.is_relative_to(Path.home())]


def size_of(tree: Path) -> int:
    """The bytes of all files of a tree, each hard link once."""
    sizes = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            status = os.lstat(Path(folder) / name)
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
