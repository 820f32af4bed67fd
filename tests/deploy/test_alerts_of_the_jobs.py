"""The alerts on the index's volume and jobs, computed by promtool on made-up series."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.policies.rendering import DEPLOY, manifests

CASES = DEPLOY / "checks" / "rules" / "index_jobs.yaml"


def outcome(folder: Path, groups: list[dict]) -> "subprocess.CompletedProcess[str]":
    """What promtool says of the cases with some rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian: apt-get install prometheus)")
    for group in groups:
        for rule in group["rules"]:
            rule.get("annotations", {}).pop("runbook_url", None)  # another test compares it
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    shutil.copy(CASES, folder)
    command = [promtool, "test", "rules", CASES.name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def alert_groups() -> list[dict]:
    (rules,) = [
        each
        for each in manifests("cpu-dev", ("monitoring",)).of_kind("PrometheusRule")
        if "alert" in each["spec"]["groups"][0]["rules"][0]
    ]
    return yaml.safe_load(yaml.safe_dump(rules["spec"]["groups"]))  # renderings are shared


def test_the_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    done = outcome(tmp_path, alert_groups())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("BeautyIndexVolumeFull", "< 0.1", "< 0.05"),
        ("BeautyIndexVolumeFull", ', persistentvolumeclaim="index"', ""),
        ("BeautyJobFailed", "kube_job_failed{", "kube_job_status_failed{"),
        ("BeautyJobFailed", "unless", "and"),
        ("BeautyJobFailed", "< on", "> on"),
    ],
)
def test_the_cases_notice_a_wrong_rule(tmp_path: Path, alert: str, right: str, wrong: str) -> None:
    groups = alert_groups()
    (rule,) = [each for each in groups[0]["rules"] if each["alert"] == alert]
    assert right in rule["expr"]
    rule["expr"] = rule["expr"].replace(right, wrong)
    assert outcome(tmp_path, groups).returncode == 1
