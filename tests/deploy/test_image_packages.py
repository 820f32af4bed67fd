"""A process of an image has that image's packages: each program starts there, others do not."""

import subprocess

import pytest

from client.__main__ import main as search
from deploy.policies.belonging import IMAGES
from export.__main__ import main as export
from retrieval_server.__main__ import main as serve
from tests.support.deploy.image_packages import environment_of_image, missing_modules
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import Program, command, print_loaded_modules

PROGRAMS: dict[str, Program] = {
    "beauty-server": serve,
    "beauty-search": search,
    "beauty-export": export,
}


def start(program: str, stage: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(PROGRAMS[program], "--help"),
        cwd=ROOT,
        env=environment_of_image(stage),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_starts_with_the_packages_of_its_image(program: str) -> None:
    done = start(program, IMAGES[program])

    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout or "Commands" in done.stdout


def test_the_job_of_the_sample_catalogue_finds_its_fonts() -> None:
    """The other jobs run whole in ``test_manifest_run.py``; this one takes half a minute."""
    modules = [f"export.sample.{path.stem}" for path in (ROOT / "export/sample").glob("[a-z]*.py")]
    done = subprocess.run(
        command(print_loaded_modules, *modules),
        cwd=ROOT,
        env=environment_of_image("export"),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )

    assert done.returncode == 0, done.stderr
    assert set(modules) <= set(done.stdout.split())


def test_a_job_does_not_start_in_the_image_of_the_server() -> None:
    done = start("beauty-export", "server")

    assert done.returncode != 0
    assert "beauty-export needs " in done.stderr


def test_neither_image_has_torch_and_the_server_s_builds_no_index() -> None:
    assert {"torch", "pytest", "timm"} <= set(missing_modules("export"))
    assert {"sklearn", "pyarrow", "matplotlib", "torch"} <= set(missing_modules("server"))
    assert not {"onnxruntime", "numba", "PIL", "google", "grpc"} & set(missing_modules("server"))


@pytest.mark.parametrize("stage", ["server", "export"])
def test_what_serves_and_what_loads_a_store_has_its_client(stage: str) -> None:
    pytest.importorskip("pymilvus", reason="needs the extra milvus")
    assert "pymilvus" not in missing_modules(stage)
