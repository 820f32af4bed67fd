"""Rules on made-up series: promtool computes them and compares, as ``checks/rules`` says.

Each alert has to fire in one case and to be silent in another; each recording rule and each query
of a ScaledObject has a value. Needs promtool, see ``checkers.programs_of``.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.policies.checkers import programs_of
from deploy.policies.monitoring import rules
from deploy.policies.namespaces import PLACEHOLDER
from deploy.policies.rendering import DEPLOY, Manifests, Object
from deploy.policies.rendering.kubectl import TOOLS

CASES = DEPLOY / "checks" / "rules"
RULES = "rules.yaml"  # what the cases read; written for each rendering
NOT_TESTED = {"runbook_url"}  # policy 14 compares it with the runbooks
OF_AUTOSCALERS = "autoscalers.yaml"
FAILED = re.compile(r"^ +(?=name: )", re.MULTILINE)  # before each failure that promtool prints


def untested_rules(rendered: Manifests) -> Iterator[str]:
    """14: every alert has a case in which it fires and one in which it does not."""
    fires, silent, computed = _cases()
    for rule in rules(rendered):
        name = rule.get("alert", "")
        if name and name not in fires & silent:
            lacks = "fires" if name not in fires else "is silent"
            yield f"PrometheusRule, alert {name}, has no case in which it {lacks}"
        if "record" in rule and rule["record"] not in computed:
            yield f"PrometheusRule, {rule['record']}, has no case"


def rule_groups(rendered: Manifests) -> list[Object]:
    """The rules of a rendering as Prometheus reads them, and the queries of its ScaledObjects."""
    groups = [
        {**group, "rules": [_without_links(rule) for rule in group["rules"]]}
        for each in rendered.of_kind("PrometheusRule")
        for group in each["spec"]["groups"]
    ]
    queries = [
        {
            "record": f"autoscaler:{each['metadata']['name']}",
            "expr": each["spec"]["triggers"][0]["metadata"]["query"],
        }
        for each in rendered.of_kind("ScaledObject")
    ]
    return [*groups, *([{"name": "autoscalers", "rules": queries}] if queries else ())]


def failed_cases(groups: Sequence[Object], namespace: str, cases: Path = CASES) -> list[str]:
    """What rules compute otherwise than the cases say, one line each.

    Args:
        groups: of rules, such as those of ``rule_groups``; cases that need others are left out.
        namespace: of the rendering, which the cases call ``NAMESPACE``.
        cases: folder with the files of cases.

    Raises:
        RuntimeError: if promtool cannot be installed.
    """
    return list(_failed_cases(json.dumps(groups), namespace, cases))


@cache
def _failed_cases(text: str, namespace: str, cases: Path) -> tuple[str, ...]:
    """The same, once for each set of rules: most renderings have the same."""
    groups = json.loads(text)
    names = {group["name"] for group in groups}
    found: list[str] = []
    with tempfile.TemporaryDirectory(dir=TOOLS) as scratch:
        (Path(scratch) / RULES).write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
        for path in sorted(cases.glob("*.yaml")):
            wanted = {"autoscalers"} if path.name == OF_AUTOSCALERS else names - {"autoscalers"}
            if wanted and wanted <= names:
                own = path.read_text(encoding="utf-8").replace(PLACEHOLDER, namespace)
                (Path(scratch) / path.name).write_text(own, encoding="utf-8")
                found += [f"{path.name}: {words}" for words in _promtool(Path(scratch) / path.name)]
    return tuple(found)


def _promtool(path: Path) -> list[str]:
    done = subprocess.run(  # noqa: S603 - promtool on files of ours
        [programs_of("promtool") / "promtool", "test", "rules", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return []
    said = done.stdout + done.stderr
    failed = FAILED.split(said)[1:] or [said]
    return [" ".join(each.split()) for each in failed]


def _without_links(rule: Object) -> Object:
    if "alert" not in rule:
        return rule
    kept = {k: v for k, v in rule["annotations"].items() if k not in NOT_TESTED}
    return {**rule, "annotations": kept}


@cache
def _cases() -> tuple[set[str], set[str], set[str]]:
    """The alerts that fire in a case, those that are silent in one, and the other rules."""
    fires: set[str] = set()
    silent: set[str] = set()
    computed: set[str] = set()
    for path in CASES.glob("*.yaml"):
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", ()):
                (fires if case["exp_alerts"] else silent).add(case["alertname"])
            for value in test.get("promql_expr_test", ()):
                computed |= _rules_in(value)
    return fires, silent, computed


def _rules_in(case: Any) -> set[str]:
    return set(re.findall(r"[a-z]+:[a-z0-9_]+(?::[a-z0-9_]+)?", case["expr"]))
