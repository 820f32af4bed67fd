"""Checks the manifests: renders every combination, runs every policy, prints what is wrong.

Findings and a summary go to stdout, progress to stderr. The exit status is 1 if there is a finding.

Example: python -m deploy.policies --output build/manifests
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from deploy.policies.checkers import KUBERNETES, checkov, validate
from deploy.policies.registry import POLICIES, SOURCE_POLICIES, Finding, findings, source_findings
from deploy.policies.rendering import (
    DEPLOY,
    Manifests,
    Object,
    all_combinations,
    name_of,
    overlays,
    render_all,
)
from deploy.policies.rendering.kubectl import render
from deploy.policies.rule_tests import failed_cases, rule_groups

SOURCES = "sources"
CHECKERS = (*(f"Kubernetes {version}" for version in KUBERNETES), "checkov", "promtool")
OBEY_THE_SCHEMA = "Correct the field, or the apiVersion and kind."
CORRECT_THE_RULE = "Correct the rule, or its case in deploy/checks/rules."
ANSWER_CHECKOV = "Correct it, or say why not in an annotation checkov.io/skip1 of the object."


@dataclass
class Report:
    """What was found, and where.

    Attributes:
        found: the renderings, or ``sources``, that have a finding, by the finding.
    """

    found: dict[Finding, list[str]] = field(default_factory=dict)

    def add(self, where: str, some: Iterable[Finding]) -> None:
        """Take in what was found in one rendering, or in the sources."""
        for each in some:
            self.found.setdefault(each, []).append(where)

    def lines(self) -> list[str]:
        """One line for each finding, with the first of the renderings that have it."""
        return [
            f"{names[0]}{f' (and {len(names) - 1} more)' if names[1:] else ''}: {each}"
            for each, names in self.found.items()
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those of the command line by default.

    Returns:
        1 if there is a finding, or if something cannot be rendered; else 0.
    """
    options = _parser().parse_args(arguments)
    deploy = options.deploy.resolve()
    chosen = [
        each
        for each in all_combinations(deploy)
        if not options.overlay or each.overlay in options.overlay
    ]
    report = Report()
    try:
        if options.output is not None:
            write_overlays(deploy, options.output)
        report.add(SOURCES, source_findings(deploy))
        rendered = []
        for each in track(
            render_all(chosen, deploy),
            "Rendering",
            total=len(chosen),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        ):
            report.add(each.name, findings(each))
            rendered.append(each)
        if options.checkers:
            sys.stderr.write(f"Checking by {', '.join(CHECKERS)}\n")
            check_objects(rendered, report)
            check_rules(rendered, report)
    except RuntimeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    checkers = f"{len(CHECKERS) if options.checkers else 0} checkers"
    policies = f"{len(POLICIES) + len(SOURCE_POLICIES)} policies"
    count = f"{len(report.found)} finding{'' if len(report.found) == 1 else 's'}"
    summary = f"{len(rendered)} renderings, {policies}, {checkers}, {count}"
    sys.stdout.write("".join(f"{line}\n" for line in [*report.lines(), summary]))
    return 1 if report.found else 0


def write_overlays(deploy: Path, output: Path) -> None:
    """Write each overlay, rendered without components, to a file of its name.

    Args:
        deploy: the tree.
        output: folder of the files; files that exist are overwritten.

    Raises:
        RuntimeError: with Kustomize's message, if an overlay cannot be rendered.
    """
    output.mkdir(parents=True, exist_ok=True)
    for overlay in overlays(deploy):
        path = output / f"{overlay}.yaml"
        path.write_text(render(deploy / "overlays" / overlay), encoding="utf-8")
        sys.stderr.write(f"{path}\n")


def check_objects(rendered: Sequence[Manifests], report: Report) -> None:
    """Run the schemas and checkov on each object once.

    Args:
        rendered: the renderings.
        report: takes what is found.

    Raises:
        RuntimeError: if a checker cannot be installed or run.
    """
    objects: dict[str, Object] = {}
    places: dict[str, list[str]] = {}
    for each in rendered:
        for content in each.objects:
            key = json.dumps(content, sort_keys=True)
            objects[key] = content
            places.setdefault(key, []).append(each.name)
    for version in KUBERNETES:
        found = validate(list(objects.values()), version)
        for key, problems in zip(objects, found, strict=True):
            for problem in problems:
                finding = Finding(f"Kubernetes {version}", problem, OBEY_THE_SCHEMA)
                report.found[finding] = [*report.found.get(finding, ()), *places[key]]
    for reference, problem in checkov(list(objects.values()))[0]:
        names = [
            name
            for key, content in objects.items()
            if name_of(content) == reference
            for name in places[key]
        ]
        report.found[Finding("checkov", problem, ANSWER_CHECKOV)] = names or [SOURCES]


def check_rules(rendered: Sequence[Manifests], report: Report) -> None:
    """Let promtool compute the rules on the series of their cases.

    Args:
        rendered: the renderings.
        report: takes what is found.

    Raises:
        RuntimeError: if promtool cannot be installed or run.
    """
    for each in rendered:
        failed = failed_cases(rule_groups(each), each.namespace)
        report.add(each.name, [Finding("promtool", words, CORRECT_THE_RULE) for words in failed])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.policies",
        description="Check the Kubernetes manifests in every combination.",
        epilog="Example: python -m deploy.policies --output build/manifests",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write the rendered overlays to this folder"
    )
    parser.add_argument(
        "--overlay", action="append", metavar="NAME", help="check this overlay only; repeatable"
    )
    parser.add_argument(
        "--deploy", type=Path, default=DEPLOY, metavar="DIR", help="the tree (default: this one)"
    )
    parser.add_argument(
        "--no-checkers",
        dest="checkers",
        action="store_false",
        help="leave out the schemas, checkov and promtool, which are fetched on first use",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
