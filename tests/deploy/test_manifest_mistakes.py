"""The policies find what operators get wrong: in manifests, in rules, in files of one machine."""

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.policies.registry import SOURCE_POLICIES, findings
from deploy.policies.rendering import DEPLOY, ROOT, Manifests, manifests
from deploy.policies.rule_tests import CASES, failed_cases, rule_groups, untested_rules
from tests.support.deploy.file_mistakes import FILE_MISTAKES, FileMistake
from tests.support.deploy.mutations import NOT_FOUND_BY_POLICIES, Mutation, mutations
from tests.support.deploy.operator_mistakes import OPERATOR_MISTAKES
from tests.support.deploy.rule_mistakes import RULE_MISTAKES, RuleMistake
from tests.support.deploy.seeded_defect import Defect

TRIED = 150  # mutations; `python -m tests.support.deploy.mutations` tries all


def named(each: Any) -> str:
    return str(each.name)


@pytest.mark.parametrize("mistake", OPERATOR_MISTAKES, ids=named)
def test_an_operator_s_mistake_is_found_at_its_object(mistake: Defect) -> None:
    assert findings(mistake.sound()) == []
    found = findings(mistake.damaged())

    policy, name = str(mistake.found_by), mistake.named or mistake.target
    assert [each for each in found if each.policy == policy and name in each.problem], found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the files that the policies on sources read; tests put back what they change."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(DEPLOY, root / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "model_repository/README.md"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    return root / "deploy"


@pytest.mark.parametrize("mistake", FILE_MISTAKES, ids=named)
def test_a_mistake_in_a_file_is_found_by_its_policy(mistake: FileMistake, files: Path) -> None:
    path = files / mistake.file
    text = path.read_text(encoding="utf-8")
    assert mistake.old in text
    path.write_text(text.replace(mistake.old, mistake.new, 1), encoding="utf-8")
    policy = SOURCE_POLICIES[mistake.found_by]
    try:
        found = policy.findings(mistake.found_by, files)
    finally:
        path.write_text(text, encoding="utf-8")

    assert [each for each in found if mistake.file.rpartition("/")[2] in each.problem], found
    assert policy.findings(mistake.found_by, files) == []


@pytest.fixture(scope="module")
def watched() -> Manifests:
    return manifests("cpu-dev", ("monitoring", "keda"))


def cases_of(rule: str, folder: Path) -> Path:
    """The cases that name a rule; each case takes promtool a tenth of a second."""
    for path in CASES.glob("*.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["tests"] = [each for each in content["tests"] if rule in str(each)]
        if content["tests"]:
            (folder / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("mistake", RULE_MISTAKES, ids=lambda each: f"{each.rule}: {each.name}")
def test_a_mistake_in_a_rule_fails_a_case(
    mistake: RuleMistake, watched: Manifests, tmp_path: Path
) -> None:
    cases = cases_of(mistake.rule, tmp_path)
    groups = rule_groups(watched)
    (rule,) = [
        rule
        for group in groups
        for rule in group["rules"]
        if mistake.rule in {rule.get("alert"), rule.get("record")}
    ]
    field = "for" if re.search(mistake.old, rule.get("for", "")) else "expr"
    changed = re.sub(mistake.old, mistake.new, rule[field])
    assert changed != rule[field]

    damaged = [
        {**group, "rules": [{**r, field: changed} if r is rule else r for r in group["rules"]]}
        for group in groups
    ]
    assert failed_cases(groups, watched.namespace, cases) == []
    assert failed_cases(damaged, watched.namespace, cases)


def test_the_cases_hold_in_any_namespace(tmp_path: Path) -> None:
    groups = rule_groups(manifests("cpu-dev", ("monitoring",), namespace="beside"))
    cases = cases_of("Index", tmp_path)

    assert failed_cases(groups, "beside", cases) == []
    assert failed_cases(groups, "another", cases)


def test_a_rule_without_a_case_is_named(watched: Manifests) -> None:
    assert list(untested_rules(watched)) == []
    (rules,) = [each for each in watched.objects if each["metadata"]["name"].endswith("-alerts")]
    more = {"alert": "BeautyNew", "expr": "vector(1)", "labels": {}, "annotations": {}}
    groups = [{"name": "new", "rules": [more, {"record": "beauty:new:rate5m", "expr": "1"}]}]
    added = {**rules, "spec": {"groups": groups}}

    found = list(untested_rules(Manifests("cpu-dev", [added])))

    assert len(found) == 2
    assert "BeautyNew" in found[0]
    assert "beauty:new:rate5m" in found[1]


@pytest.fixture(scope="module")
def every_mutation() -> list[Mutation]:
    return list(mutations())


def test_a_changed_field_is_found_or_listed_with_a_reason(every_mutation: list[Mutation]) -> None:
    """A sample, the same in every run."""
    tried = random.Random(7).sample(every_mutation, TRIED)

    assert [str(each) for each in tried if not each.is_elsewhere and not each.is_found()] == []


def test_what_is_listed_is_in_the_manifests(every_mutation: list[Mutation]) -> None:
    places = {each.place for each in every_mutation}

    listed = {place for place, _, _ in NOT_FOUND_BY_POLICIES}
    assert {x for x in listed if any(re.fullmatch(x, each) for each in places)} == listed


def test_mutations_change_what_they_say() -> None:
    rendering = manifests("cpu-dev")
    target = rendering.get("Deployment/retrieval")
    path = ("spec", "minReadySeconds")

    assert Mutation(rendering, target, path, "tenfold", 5000).is_found()
    assert Mutation(rendering, target, path, "removed", None).is_found()
    assert target["spec"]["minReadySeconds"] == 5
