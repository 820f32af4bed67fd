"""The policies find what is wrong with a copy of the tree, and the command says where."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.policies.__main__ import main
from deploy.policies.checkers import KUBERNETES
from deploy.policies.registry import SOURCE_POLICIES, source_findings
from deploy.policies.rendering import DEPLOY, ROOT

ROOMS = ("client", "export", "retrieval_server")
COPIED = (
    *("base", "overlays", "components/tls", "transformers", "images", "README.md", "METRICS.md"),
    *("compose.yaml", "compose.gpu.yaml"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of ``deploy/`` with one component, so that it is quickly rendered."""
    deploy = tmp_path / "deploy"
    for name in COPIED:
        target = deploy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (DEPLOY / name).is_dir() else shutil.copy
        copy(DEPLOY / name, target)
    for name in ("pyproject.toml", "model_repository/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return deploy


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def add_unused(deploy: Path) -> None:
    (deploy / "base" / "spare.yaml").write_text("{}\n")


def use_an_old_field(deploy: Path) -> None:
    path = deploy / "base" / "kustomization.yaml"
    path.write_text(path.read_text() + "commonLabels:\n  team: search\n")


def make_an_object_twice(deploy: Path) -> None:
    shutil.copy(deploy / "base" / "triton.yaml", deploy / "base" / "triton_again.yaml")
    change(deploy / "base/kustomization.yaml", "- triton.yaml", "- triton.yaml # triton_again.yaml")


def write_a_setting_twice(deploy: Path) -> None:
    old = "- RETRIEVAL_PORT=50051"
    change(deploy / "base/kustomization.yaml", old, f"{old}\n      {old}")


def write_the_namespace_twice(deploy: Path) -> None:
    old = "kind: Kustomization"
    change(deploy / "base/kustomization.yaml", old, f"{old}\nnamespace: beauty-retrieval")


def forget_the_transformers(deploy: Path) -> None:
    change(deploy / "overlays/cpu-dev/kustomization.yaml", "  - ../../transformers\n", "  []\n")


def name_another_version(deploy: Path) -> None:
    change(deploy / "base/kustomization.yaml", "newTag: 0.1.0", "newTag: 0.0.9")


def rename_a_stage(deploy: Path) -> None:
    change(deploy / "images/Dockerfile", " AS triton\n", " AS tritonserver\n")


def open_a_port_to_the_network(deploy: Path) -> None:
    change(deploy / "compose.yaml", "127.0.0.1:50051:50051", "50051:50051")


def rename_a_component(deploy: Path) -> None:
    (deploy / "components" / "tls").rename(deploy / "components" / "mutual-tls")


FAULTS = {
    add_unused: ("kustomizations", "base/spare.yaml"),
    use_an_old_field: ("kustomizations", "commonLabels"),
    make_an_object_twice: ("once", "Deployment/triton"),
    write_a_setting_twice: ("once", "RETRIEVAL_PORT=50051"),
    write_the_namespace_twice: ("once", "base/kustomization.yaml has a namespace"),
    forget_the_transformers: ("once", "does not list ../../transformers"),
    name_another_version: ("images", "0.0.9"),
    rename_a_stage: ("images", "beauty-retrieval-triton"),
    open_a_port_to_the_network: ("compose", "ports"),
    rename_a_component: ("documented", "components/mutual-tls"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_sources_is_found_where_it_is(fault, tree: Path) -> None:
    assert source_findings(tree) == []
    fault(tree)
    found = source_findings(tree)

    policy, named = FAULTS[fault]
    assert [each for each in found if each.policy == policy and named in each.problem], found


def test_every_policy_on_the_sources_has_a_fault_to_find() -> None:
    assert {policy for policy, _ in FAULTS.values()} == set(SOURCE_POLICIES)


def test_the_command_names_rendering_object_and_remedy_of_a_finding(tree: Path) -> None:
    change(tree / "base" / "triton.yaml", "--model-control-mode=none", "--model-control-mode=poll")
    change(tree / "base" / "retrieval.yaml", "minReadySeconds:", "minReadySecs:")

    command = [sys.executable, "-m", "deploy.policies", "--deploy", tree, "--overlay", "cpu-dev"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    *lines, summary = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert summary.startswith("2 renderings, ")
    assert summary.endswith(f" policies, 4 checkers, {len(lines)} findings")
    assert all(line.startswith("cpu-dev (and 1 more): ") for line in lines)
    for policy, named, remedy in (
        ("8", "Deployment/triton", "--model-control-mode=none"),
        ("4", "Deployment/retrieval has no minReadySeconds", "minReadySeconds"),
        (f"Kubernetes {KUBERNETES[0]}", "Deployment/retrieval", "Correct the field"),
        (f"Kubernetes {KUBERNETES[1]}", "Deployment/retrieval", "Correct the field"),
    ):
        (line,) = [each for each in lines if each.endswith(f"[policy {policy}]")]
        assert named in line
        assert remedy in line


def test_a_tree_that_cannot_be_rendered_is_one_line(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "base" / "triton.yaml").unlink()

    assert main(["--deploy", os.fspath(tree), "--no-checkers"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cpu-dev cannot be rendered: ")
    assert "triton.yaml" in line


def test_policies_run_without_pytest_and_no_room_imports_them() -> None:
    policies = list((DEPLOY / "policies").rglob("*.py"))
    rooms = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]

    def imports(path: Path, package: str) -> bool:
        text = path.read_text(encoding="utf-8")
        return re.search(rf"^\s*(from|import) {package}\b", text, re.MULTILINE) is not None

    assert len(policies) > 10
    assert [path for path in policies if imports(path, "pytest")] == []
    assert [path for path in rooms if imports(path, "deploy")] == []
