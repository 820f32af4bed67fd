"""Removes from an environment what none of our commands loads, and the symbols of its libraries.

The Dockerfile runs it: ``python slim.py /opt/beauty``. Needs ``strip``, of Debian's binutils.
``make images-test`` shows that the commands work with what is left.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

UNUSED = (  # in site-packages
    "**/tests",
    "**/test",
    "**/include",
    "**/*.py[ix]",  # of Cython and of type checkers
    "**/*.pxd",
    "fontTools",  # matplotlib embeds fonts in PDF with it; we take its fonts only
    "mpl_toolkits",
    "numba/cuda",  # the search runs on the CPU
    "onnxruntime/capi/libonnxruntime.so.*",  # for programs in C; Python has a library of its own
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "pyarrow/*flight*",  # clients of other services; catalogues are files
    "pyarrow/*s3*",
    "pyarrow/libarrow_python*.so",  # copies: the libraries are loaded by the name with one number
    "pyarrow/libarrow_python*.so.*.*.*",
    "simplemma/strategies/dictionaries/data/[!e]*",  # all but those of English, en and enm
    "simplemma/strategies/dictionaries/data/e[!n]*",
)
LIBRARY = re.compile(r"\.so(\.\d+)*$")
CHANGED = ".libs"  # ends a folder of libraries that were changed after linking, which strip breaks


def main(environment: Path) -> None:
    """Remove the files, then the symbols.

    Args:
        environment: a virtual environment.
    """
    (packages,) = environment.glob("lib/python3*/site-packages")
    for pattern in UNUSED:
        for path in list(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)  # it was in a folder that is removed
    libraries = [
        path
        for path in packages.rglob("*")
        if LIBRARY.search(path.name) and not path.parent.name.endswith(CHANGED)
    ]
    for path in libraries:
        command = ["strip", "--strip-unneeded", str(path)]
        subprocess.run(command, check=True)  # noqa: S603 - fixed words and paths of our own


if __name__ == "__main__":
    main(Path(sys.argv[1]))
