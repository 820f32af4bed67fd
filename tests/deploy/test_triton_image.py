"""The Triton image starts: a real tritonserver in mode ``none``, on the tree that the image gets.

No Docker: the stage ``models`` runs its own commands on a copy of ``model_repository/``, and the
image's CMD starts Triton 24.10 from pip with our own backend. The ONNX files are small ones with
the tensors that the configurations name: the folders are tested, not the weights.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import onnx
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from deploy.policies.rendering import DEPLOY, ROOT
from export.models.profiles import PROFILES
from retrieval_server.models.model_repository import ModelRepository
from tests.support.deploy.dockerfile import build_stages, last
from tests.support.deploy.place import free_port
from tests.support.patience import PATIENCE_S, eventually
from tests.support.tiny_world import tiny_model

sys.path.insert(0, str(DEPLOY / "local_triton"))
from environment import set_up
from traces import remove_traces

SHIPPED = sorted(PROFILES)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """What a clone has in ``model_repository/``: the configurations of every profile, no models."""
    tracked = subprocess.run(
        ["git", "ls-files", "model_repository"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in tracked.stdout.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path / "model_repository"


def export(repository: Path, profile: str) -> None:
    """Fill the folders of one profile, as ``make export`` does."""
    for seed, model in enumerate(ModelRepository(repository).ensemble(profile)):
        model.onnx_path.parent.mkdir(exist_ok=True)
        onnx.save(tiny_model(model.dimension, seed, side=model.side), model.onnx_path)


def run_models_stage(repository: Path, profile: str, models: Path) -> "subprocess.CompletedProcess":
    """Run the commands of the Dockerfile's stage ``models``: COPY by path, RUN by a shell."""
    stage = build_stages()["models"]
    assert stage.arguments("COPY")[-1] == "model_repository /model_repository"
    (command,) = stage.arguments("RUN")
    for there, here in (
        ("/opt/beauty/bin/beauty-server", f"{sys.executable} -m retrieval_server"),
        (" /model_repository ", f" {repository} "),
        ("/models", str(models)),
    ):
        assert there in command
        command = command.replace(there, here)
    return subprocess.run(
        ["sh", "-ec", command],
        cwd=ROOT,
        env=os.environ | {"PROFILE": profile},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def tritonserver(models: Path, log: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """The CMD of the Triton image; what this machine adds is where its backend lies, and ports."""
    environment = set_up(ROOT / "build" / "local_triton")
    program, *arguments = json.loads(last(build_stages(), "triton", "CMD"))
    assert program == "tritonserver"
    assert "--model-control-mode=none" in arguments
    mark = f"beauty_triton_image_{os.getpid()}_"
    kinds = ("grpc", "http", "metrics")
    with ExitStack() as held:
        ports = {kind: free_port(held) for kind in kinds}
    added = [
        f"--backend-directory={environment.backends}",
        f"--cache-directory={environment.triton / 'caches'}",
        f"--backend-config=python,shm-region-prefix-name={mark}",
        *(f"--{kind}-address=127.0.0.1" for kind in kinds),
        *(f"--{kind}-port={port}" for kind, port in ports.items()),
    ]
    arguments = [each.replace("/models", str(models)) for each in arguments]
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(environment.tritonserver), *arguments, *added], stdout=file, stderr=file
        )
    try:
        yield process, f"127.0.0.1:{ports['grpc']}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        remove_traces(mark)


@pytest.mark.parametrize("profile", SHIPPED)
def test_triton_serves_the_tree_of_the_image_in_mode_none(
    exported: Path, profile: str, tmp_path: Path, local_triton_environment: None
) -> None:
    export(exported, profile)
    models = tmp_path / "models"
    done = run_models_stage(exported, profile, models)
    assert done.returncode == 0, done.stderr

    log = tmp_path / "log"
    with tritonserver(models, log) as (process, address):
        client = InferenceServerClient(address)

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return client.is_server_ready()
            except InferenceServerException:
                return False

        eventually(is_ready)
        served = {each.name for each in client.get_model_repository_index().models}
        client.close()
    members = {member.name for member in ModelRepository(exported).ensemble(profile)}
    assert served == {profile} | members
    assert {folder.name for folder in models.iterdir()} == served


def test_triton_refuses_the_tree_of_a_clone_with_one_profile_exported(
    exported: Path, tmp_path: Path, local_triton_environment: None
) -> None:
    export(exported, "lite")
    log = tmp_path / "log"
    with tritonserver(exported, log) as (process, _):
        assert process.wait(PATIENCE_S) == 1
    assert "failed to load all models" in log.read_text()


def test_a_profile_whose_models_are_missing_stops_the_build(exported: Path, tmp_path: Path) -> None:
    export(exported, "lite")

    failed = run_models_stage(exported, "paper", tmp_path / "models")

    assert failed.returncode == 1
    assert "densenet201_grmac has no" in failed.stderr
    assert "beauty-export onnx" in failed.stderr
    assert not (tmp_path / "models").exists()
