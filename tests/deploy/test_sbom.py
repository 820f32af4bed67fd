"""The bill of materials of an image: complete, and the same every time."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from retrieval_server.storage.digest import file_digest
from retrieval_server.version import VERSION
from tests.support.deploy.image_packages import extras_of, required
from tests.support.paths import ROOT

BASE = "docker.io/library/python:3.11.14-slim-bookworm@sha256:65a93d"
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module", params=["server", "export"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def environment(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of an image as it has them: the metadata of all that its extras require."""
    folder = tmp_path_factory.mktemp(image)
    packages = folder / "lib" / "python3.11" / "site-packages"
    for name in required(extras_of(image)):
        there = Path(str(metadata.distribution(name)._path))  # type: ignore[attr-defined]
        shutil.copytree(there, packages / there.name)
    return folder


def bill(image: str, environment: Path, models: Path, output: Path, *options: str) -> bytes:
    command = [sys.executable, ROOT / "deploy/images/sbom.py", image, environment, *options]
    command += ["--models", models, "--base", BASE, "--output", output]
    seed = {"PYTHONHASHSEED": str(len(output.name))}  # another order of sets for another name
    subprocess.run(command, check=True, env=os.environ | seed)
    return output.read_bytes()


def components(document: bytes, kind: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(document)["components"] if each["type"] == kind]


def test_two_bills_of_an_image_are_equal_byte_for_byte(
    image: str, environment: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(environment, tmp_path / "other")  # other times, other order of files
    first = bill(image, environment, tiny_repository, tmp_path / "a.json")
    assert bill(image, other, tiny_repository, tmp_path / "another.json") == first


def test_a_bill_names_every_package_with_its_version_and_every_model_with_its_digest(
    image: str, environment: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    document = bill(image, environment, tiny_repository, tmp_path / "bill.json")
    listed = {each["name"]: each for each in components(document, "library")}
    assert set(listed) == required(extras_of(image))
    assert {name: each["version"] for name, each in listed.items()} == {
        name: metadata.version(name) for name in listed
    }
    assert listed["numpy"]["purl"] == f"pkg:pypi/numpy@{metadata.version('numpy')}"
    assert all("licenses" in each for each in listed.values())
    models = components(document, "machine-learning-model")
    assert {each["hashes"][0]["content"] for each in models} == {
        file_digest(path) for path in tiny_repository.rglob("*.onnx")
    }
    (base,) = components(document, "container")
    assert base["bom-ref"] == f"base:{BASE}"


def test_everything_in_a_bill_is_reached_from_the_image(
    image: str, environment: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    document = json.loads(bill(image, environment, tiny_repository, tmp_path / "bill.json"))
    assert document["specVersion"] == "1.6"
    root = document["metadata"]["component"]
    assert root["version"] == VERSION
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    reached, waiting = set(), [root["bom-ref"]]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += needs.get(reference, [])
    assert reached - {root["bom-ref"]} == {each["bom-ref"] for each in document["components"]}


def test_an_image_of_models_alone_names_no_package(
    image: str, environment: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    document = bill("triton", environment, tiny_repository, tmp_path / "b.json", "--models-only")
    assert components(document, "library") == []
    assert len(components(document, "machine-learning-model")) == 2
