"""deploy/compose.yaml: its schema, and that it agrees with the images, the server and the jobs."""

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import typer
import yaml

import export.cli
from retrieval_server.serving.settings import Settings
from tests.support.paths import ROOT

FILES = sorted((ROOT / "deploy").glob("compose*.yaml"))
SECURITY = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}


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


def test_no_service_has_privileges_or_a_root_file_system_to_write_to(
    services: dict[str, dict],
) -> None:
    assert set(services) == {"triton", "retrieval", "index"}
    for name, service in services.items():
        assert {key: service.get(key) for key in SECURITY} == SECURITY, name
        assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "user"} & set(service)
        assert not [volume for volume in service.get("volumes", ()) if "docker.sock" in volume]


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


def test_ports_are_those_of_the_settings_and_open_to_this_machine_alone(
    services: dict[str, dict],
) -> None:
    dockerfile = (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8")
    metrics = re.search(r"RETRIEVAL_METRICS_PORT=(\d+)", dockerfile)[1]
    published = [tuple(port.split(":")) for port in services["retrieval"]["ports"]]
    assert {inside for _, _, inside in published} == {str(Settings.port), metrics}
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert "ports" not in services["triton"]
    assert services["triton"]["networks"] == ["models"]


def test_environment_names_are_those_of_the_server_and_of_the_jobs(
    services: dict[str, dict],
) -> None:
    settings = {f"RETRIEVAL_{each.name.upper()}" for each in fields(Settings)}
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert set(services["retrieval"]["environment"]) <= settings | threads
    command = typer.main.get_command(export.cli.app).commands["index"]
    known = {parameter.envvar for parameter in command.params}
    assert set(services["index"]["environment"]) <= known
    assert services["index"]["command"][:2] == ["beauty-export", "index"]


def test_the_server_has_time_to_drain_before_it_is_killed(services: dict[str, dict]) -> None:
    def seconds(service: str) -> float:
        return float(services[service]["stop_grace_period"].removesuffix("s"))

    values = services["retrieval"]["environment"]
    delay = float(values.get("RETRIEVAL_DRAIN_DELAY_S", Settings.drain_delay_s))
    assert delay + float(values["RETRIEVAL_DRAIN_S"]) + 5 <= seconds("retrieval")
    (timeout,) = [
        word for word in services["triton"]["command"] if word.startswith("--exit-timeout-secs=")
    ]
    assert float(timeout.partition("=")[2]) + 5 <= seconds("triton")


def test_the_gpu_s_triton_differs_by_its_configuration_alone(services: dict[str, dict]) -> None:
    text = (ROOT / "deploy" / "compose.gpu.yaml").read_text(encoding="utf-8")
    command = yaml.safe_load(text)["services"]["triton"]["command"]
    assert command == [*services["triton"]["command"], "--model-config-name=cuda"]
