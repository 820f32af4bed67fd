"""What a local Triton runs from: a virtual environment and a backend directory.

::

    build/local_triton/
      .lock                        held while setting up
      venv/                        requirements.txt; `complete` is written last
        lib/libpython3.11.so.1.0   link to the interpreter's own, where it has one
      backends/                    laid out aside, then renamed
        python/                    Triton's: two copies and a link to the stub
        onnxruntime/               ours: model.py and a link to venv

Triton refuses a backend library that is a link out of the backend directory, so that one is a copy.
The stub is a link because it finds its libraries relative to the file itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import EnvironmentUnavailableError, say

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
BACKEND_MODEL = HERE / "backends" / "onnxruntime" / "model.py"
PYTHONS = ((3, 11), (3, 12))  # those that numpy 1.26.4, onnxruntime and the wheel's stubs share
COMPLETE = "complete"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A folder that is set up.

    Attributes:
        root: the folder itself, absolute.
    """

    root: Path

    @property
    def venv(self) -> Path:
        """The virtual environment of tritonserver and of the stubs."""
        return self.root / "venv"

    @property
    def backends(self) -> Path:
        """Triton's backend directory."""
        return self.root / "backends"

    @property
    def triton(self) -> Path:
        """The tritonserver tree inside the wheel."""
        site_packages = f"lib/python{_python_version()}/site-packages"
        return self.venv / site_packages / "pytriton" / "tritonserver"

    @property
    def tritonserver(self) -> Path:
        """The server's binary."""
        return self.triton / "bin" / "tritonserver"

    @property
    def stub(self) -> Path:
        """The binary that runs a Python backend, for this interpreter's version."""
        name = "triton_python_backend_stub"
        return self.triton / "python_backend_stubs" / _python_version() / name


def set_up(root: Path) -> Environment:
    """Make the environment, or what is missing of it.

    Safe to run twice and in two processes at once. A set-up that was interrupted, or that was made
    for other requirements or another interpreter, is done again.

    Args:
        root: the folder; made if it is not there.

    Returns:
        The environment.

    Raises:
        EnvironmentUnavailableError: if this platform, interpreter or package index cannot give one.
    """
    _check_platform()
    if not is_plain(root.resolve()):
        raise EnvironmentUnavailableError(
            f"Triton cannot start a stub from '{root.resolve()}'. Choose a folder without spaces "
            "and signs: --environment"
        )
    root.mkdir(parents=True, exist_ok=True)
    environment = Environment(root=root.resolve())
    with _lock(environment.root / ".lock") as lock:
        venv_digest = _venv_digest(environment)
        if _stamp(environment.venv) != venv_digest:
            say(f"setting up {environment.root} (once; about 400 MB)")
            _make_venv(environment, lock)
            _check_stub(environment)
            (environment.venv / COMPLETE).write_text(venv_digest, encoding="ascii")
        backends_digest = _digest(venv_digest, BACKEND_MODEL.read_text(encoding="utf-8"))
        if _stamp(environment.backends) != backends_digest:
            _lay_out_backends(environment, backends_digest)
    return environment


def is_plain(path: Path) -> bool:
    """Whether Triton can hand a path to a stub: it writes it into a shell's command, unquoted.

    Args:
        path: a folder.

    Returns:
        Whether a shell reads it as one word and as it is.
    """
    return re.fullmatch(r"[\w./+,@%=:-]+", str(path)) is not None


def _check_platform() -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise EnvironmentUnavailableError(
            f"The local Triton needs Linux on x86-64, not {platform.system()} on "
            f"{platform.machine()}. Use NVIDIA's container instead"
        )
    if sys.version_info[:2] not in PYTHONS:
        known = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise EnvironmentUnavailableError(
            f"The local Triton needs Python {known}, not {_python_version()}. "
            "Run serve.py with one of those"
        )


@contextmanager
def _lock(path: Path) -> Iterator[int]:
    """Wait for the file's lock; it is held until the descriptor is closed here and in children."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _make_venv(environment: Environment, lock: int) -> None:
    shutil.rmtree(environment.venv, ignore_errors=True)
    _run(
        [sys.executable, "-m", "venv", str(environment.venv)],
        "Cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)",
        lock,
    )
    pip = [str(environment.venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:"]
    _run(
        [*pip, *options, "--requirement", str(REQUIREMENTS)],
        f"pip cannot install {REQUIREMENTS.name}; is a package index within reach?",
        lock,
    )
    library = _interpreter_library()
    if library is not None:
        (environment.venv / "lib" / library.name).symlink_to(library)


def _interpreter_library() -> Path | None:
    """The interpreter's own libpython, which the stub embeds.

    pyenv's (with --enable-shared) and uv's have it in their prefix, where no loader looks; Debian's
    is where the loader finds it by itself. None if the interpreter was built without one.
    """
    name = f"libpython{_python_version()}.so.1.0"
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    # uv moves its interpreters, so that their LIBDIR is not true
    folders = [Path(sys.base_prefix) / "lib", Path(sysconfig.get_config_var("LIBDIR") or "/lib")]
    candidates = [path for folder in folders for path in (folder / name, folder / multiarch / name)]
    return next((path.resolve() for path in candidates if path.is_file()), None)


def _check_stub(environment: Environment) -> None:
    """Start the stub with no arguments: Triton would wait for ever for one that cannot start."""
    library_path = {"LD_LIBRARY_PATH": str(environment.venv / "lib")}
    result = subprocess.run(  # noqa: S603 - a file of our own environment
        [environment.stub], env={**os.environ, **library_path}, capture_output=True, check=False
    )
    if b"error while loading shared libraries" in result.stderr:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1]
        raise EnvironmentUnavailableError(
            f"Triton's Python stub cannot start ({reason.split(': ', 1)[-1]}). Install "
            f"libpython{_python_version()}, or use a Python built with --enable-shared, or uv's"
        )


def _lay_out_backends(environment: Environment, digest: str) -> None:
    aside = environment.root / "backends.new"
    shutil.rmtree(aside, ignore_errors=True)
    python, onnxruntime = aside / "python", aside / "onnxruntime"
    python.mkdir(parents=True)
    onnxruntime.mkdir()
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy2(environment.triton / "backends" / "python" / name, python)
    (python / environment.stub.name).symlink_to(environment.stub)
    shutil.copy2(BACKEND_MODEL, onnxruntime)
    # the name that Triton looks for; a link to a folder saves packing and unpacking it
    (onnxruntime / "pb_exec_env_model.py.tar.gz").symlink_to(environment.venv)
    (aside / COMPLETE).write_text(digest, encoding="ascii")
    shutil.rmtree(environment.backends, ignore_errors=True)
    aside.rename(environment.backends)


def _run(command: list[str], complaint: str, lock: int) -> None:
    """Run a step; it holds the lock itself, should this process be killed before it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(  # noqa: S603 - fixed words and our own paths
        command, env=clean, capture_output=True, text=True, check=False, pass_fds=(lock,)
    )
    if result.returncode:
        said = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        last = said[-1].strip() if said else f"exit {result.returncode}"
        raise EnvironmentUnavailableError(f"{complaint}: {last}")


def _stamp(folder: Path) -> str:
    path = folder / COMPLETE
    return path.read_text(encoding="ascii") if path.is_file() else ""


def _venv_digest(environment: Environment) -> str:
    requirements = REQUIREMENTS.read_text(encoding="utf-8")
    return _digest(requirements, sys.version, sys.base_prefix, str(environment.root))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
