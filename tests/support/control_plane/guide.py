"""The commands of deploy/README.md, run as an operator would."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.policies.rendering import DEPLOY
from tests.support.control_plane.running import ControlPlane
from tests.support.paths import ROOT

GUIDE = DEPLOY / "README.md"
NAMESPACE = "beauty-retrieval"  # that the guide names
PYTHON = ".venv/bin/python"


def commands_of(heading: str) -> list[str]:
    """The commands in the blocks of one section of the guide, without its subsections.

    Args:
        heading: of the section, without the signs before it.
    """
    text = GUIDE.read_text(encoding="utf-8")
    ((section),) = re.findall(rf"^#+ {heading}\n(.*?)(?=^#+ )", text, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines()]


@dataclass(frozen=True)
class Operator:
    """Someone who follows the guide.

    Attributes:
        plane: the cluster.
        folder: where the commands run; what they write stays there.
        kubectl: the folder whose kubectl is used.
        namespace: of the deployment, in place of the one that the guide names.
    """

    plane: ControlPlane
    folder: Path
    kubectl: Path
    namespace: str

    def run(self, command: str, overlay: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command of the guide.

        Args:
            command: as the guide has it.
            overlay: the folder of the overlay, in place of the one that the guide names.
        """
        command = re.sub(r"deploy/overlays/[a-z-]+", str(overlay), command)
        command = command.replace(f"-n {NAMESPACE} ", f"-n {self.namespace} ")
        environment = {
            "KUBECONFIG": str(self.plane.kubeconfig),
            "PATH": f"{self.kubectl}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            ["bash", "-c", command.replace(PYTHON, sys.executable)],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def do(self, command: str, overlay: Path | None = None) -> str:
        """Run a command that ends well; what it prints on stdout."""
        done = self.run(command, overlay)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout
