"""The manifests, in every combination: what they hold to, and what other tools say of them."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk import environment_variables

from deploy.policies.__main__ import main
from deploy.policies.checkers import KUBERNETES, checkov, validate
from deploy.policies.registry import POLICIES, SOURCE_POLICIES, findings, source_findings
from deploy.policies.rendering import (
    DEPLOY,
    ROOT,
    Manifests,
    Object,
    all_combinations,
    components,
    manifests,
    overlays,
    render_all,
)
from deploy.policies.rendering.kubectl import render
from deploy.policies.tracing import OF_THE_SERVER
from tests.support.programs.command import command
from tests.support.programs.unpacked_kubectl import render_without_kubectl


@pytest.fixture(scope="module")
def every_rendering() -> list[Manifests]:
    return list(render_all(all_combinations()))


@pytest.fixture(scope="module")
def every_object(every_rendering: list[Manifests]) -> list[Object]:
    """Each object once, of all renderings."""
    once = {json.dumps(each, sort_keys=True): each for r in every_rendering for each in r.objects}
    return list(once.values())


def test_the_overlays_and_components_are_those_of_the_documentation() -> None:
    assert overlays() == ("cpu-dev", "gpu-prod")
    asked_for = {"monitoring", "keda", "tls", "client-tls", "gateway", "image-volume", "scale-out"}
    asked_for |= {"tracing", "web", "local-index", "many-nodes", "changes"}
    assert asked_for <= set(components())
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `components/([a-z-]+)`", text, re.MULTILINE)
    assert set(documented) == set(components())


def test_every_combination_meets_every_policy(every_rendering: list[Manifests]) -> None:
    assert len(every_rendering) == len(all_combinations()) >= len(overlays()) * 2**7
    named = {
        "fields",
        "belonging",
        "environment",
        "changes",
        "storage",
        "sizing",
        "cases",
        "namespace",
        "references",
    }
    assert set(POLICIES) == {*map(str, range(1, 18)), *named}
    found = {each.name: words for each in every_rendering if (words := findings(each))}
    assert found == {}


def test_the_sources_meet_every_policy() -> None:
    assert set(SOURCE_POLICIES) == {"kustomizations", "once", "images", "compose", "documented"}
    assert source_findings() == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_the_schemas_want(version: str, every_object: list[Object]) -> None:
    found = validate(every_object, version)

    assert len(found) == len(every_object) > 40
    assert [words for each in found for words in each] == []


def test_checkov_has_nothing_to_say_that_is_not_answered(every_object: list[Object]) -> None:
    failed, passed = checkov(every_object)

    assert passed > 100
    assert failed == []


def test_make_manifests_writes_every_overlay_and_says_what_it_checked(
    every_rendering: list[Manifests], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path), "--no-checkers"]) == 0

    policies = len(POLICIES) + len(SOURCE_POLICIES)
    summary = f"{len(every_rendering)} renderings, {policies} policies, 0 checkers, 0 findings\n"
    assert capsys.readouterr().out == summary
    for overlay in overlays():
        written = list(yaml.safe_load_all((tmp_path / f"{overlay}.yaml").read_text()))
        assert written == manifests(overlay).objects
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "python -m deploy.policies --output build/manifests" in makefile


def test_kubectl_is_unpacked_where_there_is_none(tmp_path: Path) -> None:
    words = command(render_without_kubectl, tmp_path, DEPLOY / "overlays" / "cpu-dev")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert list(yaml.safe_load_all(done.stdout)) == manifests("cpu-dev").objects


def test_every_model_warms_up_before_triton_is_ready() -> None:
    configs = [
        path
        for path in (ROOT / "model_repository").rglob("*.pbtxt")
        if "ensemble_scheduling" not in path.read_text(encoding="utf-8")
    ]
    assert len(configs) >= 12
    assert all("model_warmup" in path.read_text(encoding="utf-8") for path in configs)


def test_tensorrt_can_write_its_cache_in_every_deployment_with_gpus() -> None:
    configs = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "model_repository").glob("*/configs/tensorrt.pbtxt")
    )
    (cache,) = set(re.findall(r'key: "trt_engine_cache_path"\s+value: "(.*)"', configs))

    (pods,) = manifests("gpu-prod").pods("triton")
    (mount,) = [each for each in pods.main["volumeMounts"] if each["mountPath"] == cache]
    (volume,) = [each for each in pods.volumes if each["name"] == mount["name"]]
    assert "emptyDir" in volume
    assert not mount.get("readOnly")
    text = (DEPLOY / "compose.gpu.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["services"]["triton"]["volumes"] == [f"tensorrt:{cache}"]
    dockerfile = (DEPLOY / "images" / "Dockerfile").read_text(encoding="utf-8")
    assert f"--owner=1000 --group=1000 {cache}\n" in dockerfile


def test_every_figure_of_the_sizing_is_in_the_results() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| Source \|\n\|[- |]+\|\n((?:\|.*\n)+)", text)
    sources = [row.rsplit("|", 2)[1] for row in table.splitlines()]
    figures = [figure for source in sources for figure in re.findall(r"\d+\.\d+|\d+,\d+", source)]

    results = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in results] == []


def test_the_pull_secret_of_the_readme_reaches_every_pod(tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (patches,) = [block for block in blocks if "imagePullSecrets" in block]
    overlay = os.path.relpath(DEPLOY / "overlays" / "gpu-prod", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{overlay}]\n{patches}", "utf-8")

    rendered = Manifests("gpu-prod", list(yaml.safe_load_all(render(tmp_path))))

    accounts = {each["metadata"]["name"]: each for each in rendered.of_kind("ServiceAccount")}
    for pods in rendered.pods():
        account = accounts[pods.spec["serviceAccountName"]]
        assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_the_patch_of_the_readme_for_bfloat16_meets_every_policy(tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (patches,) = [block for block in blocks if "--model-config-name=openvino" in block]
    for overlay, is_fine in (("cpu-dev", True), ("gpu-prod", False)):
        folder = tmp_path / overlay
        folder.mkdir()
        resources = f"resources: [{os.path.relpath(DEPLOY / 'overlays' / overlay, folder)}]"
        (folder / "kustomization.yaml").write_text(f"{resources}\n{patches}", "utf-8")
        rendered = Manifests(overlay, list(yaml.safe_load_all(render(folder))))
        (triton,) = rendered.pods("triton")
        assert triton.main["args"][-1] == "--model-config-name=openvino"
        assert (findings(rendered) == findings(manifests(overlay))) is is_fine


def test_the_variables_of_tracing_are_those_that_opentelemetry_knows() -> None:
    assert OF_THE_SERVER <= set(vars(environment_variables))
