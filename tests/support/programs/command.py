"""Functions of this repository as programs: a process of their own calls them.

The process starts in the repository, or where the packages are installed. A function finds the
arguments of its program in ``sys.argv[1:]``.
"""

import importlib
import importlib.abc
import signal
import sys
from collections.abc import Callable
from typing import Any

Program = Callable[[], object]


def command(program: Program, *arguments: object) -> list[str]:
    """The command that calls a module's function in a new interpreter."""
    module, name = program.__module__, program.__name__
    return [sys.executable, "-c", f"from {module} import {name}; {name}()", *map(str, arguments)]


def command_without(packages: str, program: Program, *arguments: object) -> list[str]:
    """The same command where some packages, divided by spaces, cannot be imported."""
    return command(
        call_without_packages, packages, program.__module__, program.__name__, *arguments
    )


class WithoutPackages(importlib.abc.MetaPathFinder):
    """Finds what another finder finds, except some packages, as if they were not installed.

    A program may also ask whether a package is there, and is told that it is not.
    """

    def __init__(self, finder: Any, packages: set[str]) -> None:
        self.finder, self.packages = finder, packages

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] in self.packages:
            return None
        return self.finder.find_spec(name, path, target)


def hide(packages: str) -> None:
    """Let this process find no module of some packages, divided by spaces."""
    hidden = set(packages.split())
    sys.meta_path[:] = [WithoutPackages(finder, hidden) for finder in sys.meta_path]


def call_without_packages() -> None:
    """Call the function that the second and the third argument name."""
    packages, module, name = sys.argv[1:4]
    del sys.argv[1:4]
    hide(packages)
    getattr(importlib.import_module(module), name)()


def search_with_ctrl_c() -> None:
    """Run ``beauty-search`` with Ctrl-C as in a terminal; a background job would ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from client.__main__ import main

    main()


def print_loaded_modules() -> None:
    """Import the modules that the arguments name; print every module that this loads."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    sys.stdout.write(" ".join(sys.modules))


def print_modules_of_the_server_command() -> None:
    """Run ``beauty-server``; print every module that this loads."""
    from retrieval_server.cli import main

    try:
        main()
    finally:
        sys.stdout.write(" ".join(sys.modules))
