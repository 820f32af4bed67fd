"""The manifests, in every combination: what they hold to, and what other tools say of them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk import environment_variables

from deploy.policies.rendering.objects import (
    COMPONENTS,
    DEPLOY,
    OVERLAYS,
    ROOT,
    Manifests,
    Object,
    all_combinations,
    documents,
    manifests,
    render_all,
    run_check,
    validate,
)
from deploy.policies.services import POLICIES, findings
from deploy.policies.tracing import OF_THE_SERVER

DOCKERFILE = DEPLOY / "images" / "Dockerfile"
KUBERNETES = ("1.36", "1.37")  # the oldest we apply to, and the newest with schemas
DEPRECATED = {
    "bases",
    "commonLabels",
    "imageTags",
    "patchesJson6902",
    "patchesStrategicMerge",
    "vars",
}


@pytest.fixture(scope="module")
def every_rendering() -> list[Manifests]:
    return render_all()


@pytest.fixture(scope="module")
def every_object(every_rendering: list[Manifests]) -> list[Object]:
    """Each object once, of all renderings."""
    once = {json.dumps(each, sort_keys=True): each for r in every_rendering for each in r.objects}
    return list(once.values())


def test_the_overlays_and_components_are_those_of_the_documentation() -> None:
    assert OVERLAYS == ("cpu-dev", "gpu-prod")
    asked_for = {"monitoring", "keda", "tls", "gateway", "image-volume", "scale-out", "tracing"}
    assert asked_for <= set(COMPONENTS)
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `components/([a-z-]+)`", text, re.MULTILINE)) == set(COMPONENTS)


def test_every_combination_meets_all_sixteen_points(every_rendering: list[Manifests]) -> None:
    assert len(every_rendering) == len(all_combinations()) >= len(OVERLAYS) * 2**7
    assert set(POLICIES) == set(range(1, 17))
    found = {each.name: words for each in every_rendering if (words := findings(each))}
    assert found == {}


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_the_schemas_want(version: str, every_object: list[Object]) -> None:
    found = validate(every_object, version)

    assert len(found) == len(every_object) > 40
    assert [words for each in found for words in each] == []


def test_every_source_is_used_and_none_speaks_an_old_kustomize() -> None:
    for folder in (DEPLOY / "base", *DEPLOY.glob("components/*"), *DEPLOY.glob("overlays/*")):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        assert not set(kustomization) & DEPRECATED, folder
        text = json.dumps(kustomization)
        for path in folder.iterdir():
            assert path.name == "kustomization.yaml" or path.name in text, path


def test_a_workload_has_one_file_and_a_setting_stands_once() -> None:
    """An object is made in one place, elsewhere it is patched; and so with settings."""
    made: dict[str, Path] = {}
    for path, document in documents(DEPLOY / "base"):
        if path.name != "kustomization.yaml":
            name = f"{document['kind']}/{document['metadata']['name']}"
            assert name not in made, name
            made[name] = path
    values: dict[str, set[str]] = {}
    for path, document in documents(DEPLOY):
        for generator in document.get("configMapGenerator", ()):
            for literal in generator.get("literals", ()):
                name, _, value = literal.partition("=")
                assert value not in values.setdefault(name, set()), f"{path}: {literal} again"
                assert not values[name] or DEPLOY / "base" not in path.parents, literal
                values[name].add(value)
    assert len(values) > 10
    tags = [path for path, document in documents(DEPLOY / "base") if "newTag" in str(document)]
    assert [path.name for path in tags] == ["kustomization.yaml"]


def test_make_manifests_renders_every_overlay(tmp_path: Path) -> None:
    script = DEPLOY / "policies" / "rendering" / "kubectl.py"
    subprocess.run(
        [sys.executable, script, "--output", tmp_path], check=True, capture_output=True, text=True
    )

    for overlay in OVERLAYS:
        written = list(yaml.safe_load_all((tmp_path / f"{overlay}.yaml").read_text()))
        assert written == manifests(overlay).objects
    assert "python deploy/policies/rendering/kubectl.py" in (ROOT / "Makefile").read_text().replace(
        "$(PYTHON)", "python"
    )


def test_kubectl_is_unpacked_where_there_is_none(tmp_path: Path) -> None:
    program = (
        "import shutil, sys; sys.path.insert(0, sys.argv[1]); shutil.which = lambda name: None\n"
        "import pathlib, kubectl; kubectl.TOOLS = pathlib.Path(sys.argv[2])\n"
        "sys.stdout.write(kubectl.render(kubectl.OVERLAYS / 'cpu-dev'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, DEPLOY / "policies" / "rendering", tmp_path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert list(yaml.safe_load_all(done.stdout)) == manifests("cpu-dev").objects


def test_checkov_has_nothing_to_say_that_is_not_answered(
    every_object: list[Object], tmp_path: Path
) -> None:
    # CRDs' objects are none of its business; what an object answers stands in its annotations
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(every_object), encoding="utf-8")
    options = ["--skip-download", "--compact", "--quiet", "--framework", "kubernetes"]

    done = run_check("checkov", "checkov", *options, "--output", "json", "--file", str(path))

    report = json.loads(done.stdout)
    failed = {(each["check_id"], each["check_name"], each["resource"]) for each in
              report["results"]["failed_checks"]}  # fmt: skip
    assert report["summary"]["passed"] > 100
    assert failed == set()


def test_images_are_those_of_the_dockerfile_at_the_version_of_the_project() -> None:
    stages = re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = yaml.safe_load((DEPLOY / "base" / "kustomization.yaml").read_text())["images"]

    assert {each["newTag"] for each in images} == {version}
    named = {each["name"] for each in images}
    assert named <= {f"beauty-retrieval-{stage}" for stage in stages}
    used = {
        each["image"].partition(":")[0]
        for pods in manifests("cpu-dev").pods()
        for each in pods.containers
    }
    assert used == named
    in_production = yaml.safe_load((DEPLOY / "overlays/gpu-prod/kustomization.yaml").read_text())
    assert {each["name"] for each in in_production["images"]} == named


def test_every_model_warms_up_before_triton_is_ready() -> None:
    configs = [
        path
        for path in (ROOT / "model_repository").rglob("*.pbtxt")
        if "ensemble_scheduling" not in path.read_text(encoding="utf-8")
    ]
    assert len(configs) >= 12
    assert all("model_warmup" in path.read_text(encoding="utf-8") for path in configs)


def test_every_figure_of_the_sizing_stands_in_the_results() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| Where from \|\n\|[- |]+\|\n((?:\|.*\n)+)", text)
    sources = [row.rsplit("|", 2)[1] for row in table.splitlines()]
    figures = [figure for source in sources for figure in re.findall(r"\d+\.\d+|\d+,\d+", source)]

    results = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in results] == []


def test_the_variables_of_tracing_are_those_that_opentelemetry_knows() -> None:
    assert OF_THE_SERVER <= set(vars(environment_variables))
