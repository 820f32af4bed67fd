"""Python imports this when it starts: what the image of a process lacks cannot be imported."""

import os
import sys

from tests.support.programs.command import MissingPackages

sys.meta_path.insert(0, MissingPackages(os.environ["MISSING_PACKAGES"]))
