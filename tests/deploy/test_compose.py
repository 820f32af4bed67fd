"""The Compose files fit the schema of Compose; the policy ``compose`` checks what they say."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT

FILES = sorted((ROOT / "deploy").glob("compose*.yaml"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["services"]


@pytest.fixture(scope="module")
def validator(image_checks: Path) -> Path:
    return image_checks / "check-jsonschema"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_compose_files_fit_the_schema_of_compose(validator: Path, file: Path) -> None:
    command = [validator, "--builtin-schema", "vendor.compose-spec", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_misspelt_key_does_not_fit(validator: Path, tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(FILES[-1].read_text("utf-8").replace("read_only:", "readonly:"), "utf-8")
    command = [validator, "--builtin-schema", "vendor.compose-spec", broken]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_every_service_is_built_from_a_stage_of_the_dockerfile_with_its_tag(
    services: dict[str, dict],
) -> None:
    dockerfile = (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8")
    for service in services.values():
        build = service["build"]
        assert (ROOT / "deploy" / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()
        assert re.search(rf"^FROM .* AS {build['target']}$", dockerfile, re.MULTILINE)
        assert build["args"] == {"PROFILE": "${PROFILE:-lite}"}
        line = f"--target {build['target']} --tag {service['image']} ."
        assert line in dockerfile
