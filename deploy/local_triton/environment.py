"""The environment of a local Triton: a virtual environment and a backend directory.

::

    build/local_triton/
      .lock                        held during the set-up
      venv/                        requirements.txt; `complete` is written last
        lib/libpython3.11.so.1.0   link to the interpreter's library, if it has one
      backends/                    made under another name, then renamed
        python/                    Triton's backend: two copies and a link to the stub
        onnxruntime/               our backend: model.py and a link to venv

The backend library is a copy, because Triton refuses one that is a link out of the backend
directory. The stub is a link, because it finds its libraries relative to its own file.
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

from errors import EnvironmentUnavailableError, log_line

FOLDER = Path(__file__).parent
REQUIREMENTS = FOLDER / "requirements.txt"
BACKEND_MODEL = FOLDER / "backends" / "onnxruntime" / "model.py"
PYTHONS = ((3, 11), (3, 12))  # supported by numpy 1.26.4, onnxruntime and the wheel's stubs
COMPLETE = "complete"  # name of the file that marks a finished folder


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The paths in a folder that is set up.

    Attributes:
        root: absolute path of the folder.
    """

    root: Path

    @property
    def venv(self) -> Path:
        """The virtual environment of tritonserver and the stubs."""
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
    """Make the parts of the environment that are missing.

    The function is safe to run twice, and in two processes at once. It repeats a set-up that was
    interrupted, or made for other requirements or another interpreter.

    Args:
        root: folder of the environment; made if it does not exist.

    Returns:
        The environment.

    Raises:
        EnvironmentUnavailableError: if the platform, the interpreter or the package index prevents
            the set-up.
    """
    _check_platform()
    if not is_plain(root.resolve()):
        raise EnvironmentUnavailableError(
            f"Triton cannot start a stub from '{root.resolve()}'. Choose a folder without spaces "
            "and special characters: --environment"
        )
    root.mkdir(parents=True, exist_ok=True)
    environment = Environment(root=root.resolve())
    with _lock(environment.root / ".lock") as lock:
        venv_digest = _venv_digest(environment)
        if _stamp(environment.venv) != venv_digest:
            log_line(f"setting up {environment.root} (once; about 400 MB)")
            _make_venv(environment, lock)
            _check_stub(environment)
            (environment.venv / COMPLETE).write_text(venv_digest, encoding="ascii")
        backends_digest = _digest(venv_digest, BACKEND_MODEL.read_text(encoding="utf-8"))
        if _stamp(environment.backends) != backends_digest:
            _make_backends(environment, backends_digest)
    return environment


def is_plain(path: Path) -> bool:
    """Whether Triton can pass a path to a stub. Triton writes it to a shell command, unquoted.

    Args:
        path: a folder.

    Returns:
        Whether a shell reads the path as one word, unchanged.
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
    """Wait for a file's lock, and hold it until this process and its children close the file."""
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
        f"pip cannot install {REQUIREMENTS.name}; check that a package index is reachable",
        lock,
    )
    library = _interpreter_library()
    if library is not None:
        (environment.venv / "lib" / library.name).symlink_to(library)


def _interpreter_library() -> Path | None:
    """The interpreter's libpython, which the stub embeds; None if there is none.

    Interpreters of pyenv (with --enable-shared) and uv have the library in their prefix, where the
    loader does not search. Debian's is in a folder that the loader searches.
    """
    name = f"libpython{_python_version()}.so.1.0"
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    # uv moves its interpreters after the build, so their LIBDIR is wrong
    folders = [Path(sys.base_prefix) / "lib", Path(sysconfig.get_config_var("LIBDIR") or "/lib")]
    candidates = [path for folder in folders for path in (folder / name, folder / multiarch / name)]
    return next((path.resolve() for path in candidates if path.is_file()), None)


def _check_stub(environment: Environment) -> None:
    """Test-start the stub, without arguments: Triton waits forever for a stub that cannot start."""
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


def _make_backends(environment: Environment, digest: str) -> None:
    unfinished = environment.root / "backends.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    python, onnxruntime = unfinished / "python", unfinished / "onnxruntime"
    python.mkdir(parents=True)
    onnxruntime.mkdir()
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy2(environment.triton / "backends" / "python" / name, python)
    (python / environment.stub.name).symlink_to(environment.stub)
    shutil.copy2(BACKEND_MODEL, onnxruntime)
    # Triton searches for this name; a link to the folder saves packing and unpacking an archive
    (onnxruntime / "pb_exec_env_model.py.tar.gz").symlink_to(environment.venv)
    (unfinished / COMPLETE).write_text(digest, encoding="ascii")
    shutil.rmtree(environment.backends, ignore_errors=True)
    unfinished.rename(environment.backends)


def _run(command: list[str], problem: str, lock: int) -> None:
    """Run a step of the set-up; it inherits the lock, in case this process is killed before it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(  # noqa: S603 - fixed words and our own paths
        command, env=clean, capture_output=True, text=True, check=False, pass_fds=(lock,)
    )
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"exit {result.returncode}"
        raise EnvironmentUnavailableError(f"{problem}: {reason}")


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
