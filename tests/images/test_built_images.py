"""The images, built and run: from this repository and Debian's packages to the answer of a search.

Every instruction of the Dockerfile runs, on bases of our own (see tests/support/images). Then the
containers run: the sample catalogue is rendered; then, as deploy/compose.yaml says, a real Triton,
the build of an index through it, the server, and one search. `make images-test` runs these tests;
`make test` leaves them out, since they take minutes and download some hundred megabytes.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.storage.digest import file_digest
from tests.support.images.builder import BASES, DOCKERFILE, Builder, size_of, what_is_missing
from tests.support.images.container import Image, Network, Service, image_of, network, service
from tests.support.paths import ROOT

pytestmark = pytest.mark.images

PROFILE = os.environ.get("PROFILE", "lite")
LARGEST_MB = {"server": 485, "export": 735}  # above the base; pymilvus and pandas take 33
HEALTHY_WITHIN_S = 120
TRITON_STATUS = (0, 1)  # 1 where a stub is slow to end


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has in which `make export` has run."""
    folder = tmp_path_factory.mktemp("context")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for model in ModelRepository(ROOT / "model_repository").ensemble(PROFILE):
        if not model.onnx_path.is_file():
            pytest.skip(f"needs the models: make export PROFILE={PROFILE}")
    exported = (ROOT / "model_repository").glob("*/*/*")
    for path in exported:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    if reason := what_is_missing():
        pytest.skip(reason)
    made = Builder(tmp_path_factory.mktemp("buildah"))
    try:
        made.make_bases()
        yield made
    finally:
        made.close()


Build = Callable[[str], str]


@pytest.fixture(scope="module")
def build(builder: Builder, context: Path) -> Build:
    def run(target: str) -> str:
        options = (f"--target={target}", f"--build-arg=PROFILE={PROFILE}")
        return builder.build(context / DOCKERFILE, context, f"localhost/{target}", *options)

    return run


@pytest.fixture(scope="module")
def built(build: Build) -> dict[str, str]:
    """What the builds of the three images print."""
    return {target: build(target) for target in ("server", "export", "triton")}


@dataclass(frozen=True)
class Machine:
    """One machine with the containers of deploy/compose.yaml."""

    services: dict[str, dict[str, Any]]
    images: dict[str, Image]
    volumes: dict[str, Path]
    logs: Path

    def arguments(self, name: str) -> dict[str, Any]:
        """Command, environment and volumes of a service."""
        told = self.services[name]
        volumes = {}
        for volume in told.get("volumes", ()):
            source, where = re.fullmatch(r"(\$\{.*\}|[^:]+):(.+)", volume).groups()
            volumes[self.volumes["catalogue" if source[0] == "$" else source]] = where
        return {
            "command": tuple(told.get("command", ())),
            "environment": told.get("environment", {}),
            "volumes": volumes,
        }

    def start(self, name: str) -> Iterator[Service]:
        with service(self.images[name], self.logs / name, **self.arguments(name)) as started:
            yield started


@pytest.fixture(scope="module")
def shared_network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def machine(
    builder: Builder,
    built: dict[str, str],
    shared_network: Network,
    tmp_path_factory: pytest.TempPathFactory,
) -> Machine:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    images = {
        name: image_of(builder, f"localhost/{told['build']['target']}", shared_network, services)
        for name, told in services.items()
    }
    folder = tmp_path_factory.mktemp("volumes")
    folder.chmod(0o755)
    for name in ("index", "data"):
        (folder / name).mkdir()
        os.chown(folder / name, 10001, 10001)  # as Docker does for a new volume
    sample = ("beauty-export", "sample", "/data/sample")
    rendered = images["index"].run(*sample, volumes={folder / "data": "/data"})
    assert rendered.returncode == 0, rendered.stderr
    volumes = {"index": folder / "index", "catalogue": folder / "data" / "sample"}
    return Machine(services, images, volumes, folder)


@pytest.fixture(scope="module")
def triton(machine: Machine) -> Iterator[Service]:
    for started in machine.start("triton"):
        started.wait_until_healthy(HEALTHY_WITHIN_S)
        yield started


@pytest.fixture(scope="module")
def index(machine: Machine, triton: Service) -> str:
    """What the build of the index through Triton prints."""
    arguments = machine.arguments("index")
    command = arguments.pop("command")
    done = machine.images["index"].run(*command, **arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def retrieval(machine: Machine, index: str) -> Iterator[Service]:
    for started in machine.start("retrieval"):
        started.wait_until_healthy(HEALTHY_WITHIN_S)
        yield started


def test_the_images_are_no_larger_than_they_may_be(builder: Builder, built: dict[str, str]) -> None:
    base = size_of(builder.mounted(BASES["PYTHON_IMAGE"]))
    sizes = {
        target: (size_of(builder.mounted(f"localhost/{target}")) - base) / 1e6
        for target in LARGEST_MB
    }
    print({target: f"{size:.0f} MB" for target, size in sizes.items()})  # noqa: T201 - a figure
    for target, size in sizes.items():
        assert size <= LARGEST_MB[target], sizes


@pytest.mark.parametrize("image", ["server", "export", "triton"])
def test_an_image_brings_the_bill_of_what_is_in_it(
    builder: Builder, built: dict[str, str], image: str
) -> None:
    tree = builder.mounted(f"localhost/{image}")
    listed = json.loads((tree / "usr/share/sbom/sbom.cdx.json").read_text())["components"]
    named = {each["name"] for each in listed if each["type"] == "library"}
    folders = tree.glob("opt/beauty/lib/python3*/site-packages/*.dist-info")
    there = {re.sub("[-_.]+", "-", path.name.split("-")[0]).lower() for path in folders}
    assert named == there
    digests = {each["hashes"][0]["content"] for each in listed if "hashes" in each}
    assert digests == {file_digest(path) for path in (tree / "models").rglob("*.onnx")}


def test_the_index_has_every_product_and_the_profile_of_the_images(
    index: str, machine: Machine
) -> None:
    assert re.search(r": \d{3} products, ", index)
    assert (machine.volumes["index"] / "current").read_text().startswith(f"{PROFILE}-")


def test_a_search_finds_the_product_of_its_photo(machine: Machine, retrieval: Service) -> None:
    catalogue = {machine.volumes["catalogue"]: "/catalogue:ro"}
    searched = machine.images["retrieval"].run(
        *("beauty-search", "smoke-test", "--server", "retrieval:50051"),
        *("--catalogue", "/catalogue", "--wait", "60"),
        volumes=catalogue,
    )
    assert searched.returncode == 0, searched.stderr + retrieval.log.read_text()


def test_the_jobs_read_parquet_with_what_is_left_of_pyarrow(machine: Machine) -> None:
    program = """
import pyarrow
from pathlib import Path
from pyarrow import parquet
from export.dataset.catalogue import read_catalogue

columns = {"id": [1, 2], "image": ["a.png", "b.png"], "description": ["one", None]}
parquet.write_table(pyarrow.table(columns), "/tmp/catalog.parquet")
assert [row.product_id for row in read_catalogue(Path("/tmp")).rows] == ["1", "2"]
"""
    done = machine.images["index"].run("python", "-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["triton", "retrieval"])
def test_a_container_runs_unprivileged_and_writes_to_tmp_alone(
    machine: Machine, name: str, request: pytest.FixtureRequest
) -> None:
    running = request.getfixturevalue(name)
    status = Path(f"/proc/{running.first_process()}/status").read_text()
    assert re.search(r"^Uid:\t[1-9]\d*\t", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    volumes = machine.arguments(name)["volumes"]
    for path in (
        "/trace",
        "/models/trace",
        *(f"{each.split(':')[0]}/t" for each in volumes.values()),
    ):
        assert machine.images[name].run("touch", path, volumes=volumes).returncode == 1, path
    assert machine.images[name].run("touch", "/tmp/trace").returncode == 0


def test_sigterm_ends_the_server_and_then_triton(retrieval: Service, triton: Service) -> None:
    """Last, since both are needed before."""
    grace_s = 30
    assert retrieval.stop(signal.SIGTERM, grace_s) == 0, retrieval.log.read_text()
    assert "Traceback" not in retrieval.log.read_text()
    assert triton.stop(signal.SIGTERM, grace_s) in TRITON_STATUS, triton.log.read_text()


def test_a_change_of_our_code_installs_no_package_again(
    build: Build, built: dict[str, str], context: Path
) -> None:
    with (context / "client" / "__init__.py").open("a") as file:
        file.write("# changed\n")
    began = time.monotonic()
    again = build("server")
    print(f"built again in {time.monotonic() - began:.0f} s")  # noqa: T201 - a figure
    steps = re.split(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: ", again, flags=re.MULTILINE)
    (dependencies,) = [step for step in steps if step.startswith("RUN python -m venv")]
    (code,) = [step for step in steps if step.startswith("RUN pip") and "--no-deps" in step]
    assert "Using cache" in dependencies
    assert "Using cache" not in code


@pytest.mark.skipif(PROFILE == "paper", reason="the models are there")
def test_a_profile_without_models_stops_the_build(builder: Builder, context: Path, built) -> None:
    options = ("--target=server", "--build-arg=PROFILE=paper")
    with pytest.raises(AssertionError, match="densenet201_grmac has no"):
        builder.build(context / DOCKERFILE, context, "localhost/none", *options)
