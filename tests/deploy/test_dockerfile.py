"""The Dockerfile, without Docker: what it copies, and what it declares."""

import json
import re
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from retrieval_server.serving.settings import Settings
from tests.support.deploy.dockerfile import (
    DOCKERFILE,
    Stage,
    arguments,
    base_images,
    environment,
    last,
    lineage,
)
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S

IMAGES = ("server", "export", "triton")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@pytest.fixture(scope="module")
def bases() -> dict[str, str]:
    return base_images()


def test_hadolint_finds_nothing_and_would_find_something(image_checks: Path) -> None:
    def findings(text: str) -> list[str]:
        command = [image_checks / "hadolint", "--no-color", "-"]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        return done.stdout.splitlines()

    text = DOCKERFILE.read_text(encoding="utf-8")
    assert findings(text) == []
    assert findings(text.replace("--no-cache-dir ", ""))
    assert findings(text.replace("USER 10001:10001", "USER root"))


def test_every_base_is_named_once_by_tag_and_none_is_latest(
    bases: dict[str, str], stages: dict[str, Stage]
) -> None:
    for base in bases.values():
        repository, _, tag = DIGEST.sub("", base).rpartition(":")
        assert "/" in repository
        assert re.search(r"\d+\.\d+", tag), base
    assert DIGEST.search(bases["PYTHON_IMAGE"])
    for stage in stages.values():
        assert stage.base in stages or re.fullmatch(r"\$\{(\w+)\}", stage.base)[1] in bases


def test_the_interpreter_is_the_one_that_the_versions_were_tested_with(
    bases: dict[str, str],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert ":3.11." in bases["PYTHON_IMAGE"]


def test_everything_copied_from_the_context_is_there_and_let_through(
    stages: dict[str, Stage],
) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = set()
    for stage in stages.values():
        for text in stage.arguments("COPY"):
            *sources, _ = [word for word in text.split() if not word.startswith("--")]
            if "--from=" in text:
                assert re.search(r"--from=(\S+)", text)[1] in stages
            else:
                copied.update(sources)
    assert copied == let_through
    for source in copied:
        assert (ROOT / source).exists(), source


def test_nothing_is_added_and_nothing_runs_as_root(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        assert stage.arguments("ADD") == []
    for image in IMAGES:
        user, _, group = last(stages, image, "USER").partition(":")
        assert int(user) > 0
        assert int(group) > 0
    assert last(stages, "server", "USER") == last(stages, "export", "USER") == "10001:10001"


def test_no_image_carries_pip_or_torch(stages: dict[str, Stage]) -> None:
    for image, extra in (
        ("server", "server,heic,languages,milvus,tracing,ui"),
        ("export", "index,heic,milvus,sample"),
    ):
        (run,) = stages[f"{image}-dependencies"].arguments("RUN")
        assert "venv --without-pip" in run
        assert f"'.[{extra}]'" in run
        assert "--constraint constraints.txt" in run
        assert {stage.name for stage in lineage(stages, image)} == {"python", image}
        copied = [f"{image}-dependencies", "models", "code", f"{image}-bill"]
        assert copied_from(stages[image]) == copied


def test_a_change_of_our_code_installs_nothing_of_others_anew(stages: dict[str, Stage]) -> None:
    for image in ("server", "export"):
        for stage in lineage(stages, f"{image}-dependencies"):
            sources = [word for text in stage.arguments("COPY") for word in text.split()[:-1]]
            assert set(sources) <= {"pyproject.toml", "constraints.txt", "deploy/images/slim.py"}
    (run,) = stages["code"].arguments("RUN")
    assert "--no-deps" in run


def test_one_argument_names_the_profile_in_every_image(stages: dict[str, Stage]) -> None:
    assert arguments()["PROFILE"] == "lite"
    assert environment(stages, "export")["BEAUTY_EXPORT_PROFILE"] == "${PROFILE}"
    for name in ("models", "export"):
        assert stages[name].arguments("ARG") == ["PROFILE"]
    for image in IMAGES:
        assert "models" in copied_from(stages[image])
    told = list((ROOT / "deploy").rglob("*.yaml"))
    assert len(told) > 30
    assert not [path for path in told if "BEAUTY_EXPORT_PROFILE" in path.read_text("utf-8")]


def copied_from(stage: Stage) -> list[str]:
    """The stages that a stage copies from, in their order."""
    return [
        found[1] for text in stage.arguments("COPY") if (found := re.search(r"--from=(\S+)", text))
    ]


def test_the_server_s_environment_holds_settings_and_its_ports_are_exposed(
    stages: dict[str, Stage],
) -> None:
    values = environment(stages, "server")
    settings = {f"RETRIEVAL_{each.name.upper()}" for each in fields(Settings)}
    assert {name for name in values if name.startswith("RETRIEVAL_")} <= settings
    ports = {values["RETRIEVAL_HEALTH_PORT"], values["RETRIEVAL_METRICS_PORT"], str(Settings.port)}
    assert set(last(stages, "server", "EXPOSE").split()) == ports


def test_every_image_has_a_health_check_but_that_of_the_jobs(stages: dict[str, Stage]) -> None:
    assert last(stages, "export", "HEALTHCHECK") == "NONE"
    command = json.loads(last(stages, "server", "HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["beauty-server", "health"]
    port = environment(stages, "server")["RETRIEVAL_HEALTH_PORT"]
    assert command[2:] == [f"127.0.0.1:{port}"]
    probe = json.loads(last(stages, "triton", "HEALTHCHECK").partition("CMD ")[2])
    assert probe[-1] == "http://127.0.0.1:8000/v2/health/ready"


def test_every_command_is_one_of_ours_or_triton(stages: dict[str, Stage]) -> None:
    commands = {image: json.loads(last(stages, image, "CMD"))[0] for image in IMAGES}
    assert commands == {
        "server": "beauty-server",
        "export": "beauty-export",
        "triton": "tritonserver",
    }
