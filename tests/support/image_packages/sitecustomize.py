"""Python imports this when it starts: what the image of a process lacks cannot be imported."""

import os

from tests.support.programs.command import hide

hide(os.environ["MISSING_PACKAGES"])
