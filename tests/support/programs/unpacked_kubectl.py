"""A program that renders an overlay where no kubectl is installed."""

import shutil
import sys
from pathlib import Path

from deploy.policies.rendering import kubectl


def render_without_kubectl() -> None:
    """Print the manifests; the arguments are the folder for kubectl and the overlay."""
    shutil.which = lambda name: None
    tools, overlay = map(Path, sys.argv[1:])
    kubectl.TOOLS = tools
    sys.stdout.write(kubectl.render(overlay))
