"""deploy/images/Dockerfile, read: its stages and what each of them says."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.paths import ROOT

DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"


@dataclass
class Stage:
    """One stage of the Dockerfile."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        return [text for name, text in self.steps if name == instruction]


def instructions() -> Iterator[tuple[str, str]]:
    text = DOCKERFILE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), " ".join(rest.split())


def arguments() -> dict[str, str]:
    """The arguments before the first stage, with their defaults."""
    found = {}
    for name, text in instructions():
        if name == "FROM":
            return found
        assert name == "ARG"
        key, _, value = text.partition("=")
        found[key] = value
    raise AssertionError("no stage")


def base_images() -> dict[str, str]:
    """The images that the stages begin with, by the name of their argument."""
    return {name: value for name, value in arguments().items() if name.endswith("_IMAGE")}


def build_stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for name, text in instructions():
        if name == "FROM":
            base, _, stage = text.partition(" AS ")
            found[stage] = Stage(stage, base)
            last = found[stage]
        elif found:
            last.steps.append((name, text))
    return found


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those it is built on, the oldest first."""
    stage = stages[name]
    return [*(lineage(stages, stage.base) if stage.base in stages else ()), stage]


def environment(stages: dict[str, Stage], name: str) -> dict[str, str]:
    pairs = [
        word.partition("=")
        for stage in lineage(stages, name)
        for text in stage.arguments("ENV")
        for word in shlex.split(text)
    ]
    return {key: value for key, _, value in pairs}


def last(stages: dict[str, Stage], name: str, instruction: str) -> str:
    return [text for stage in lineage(stages, name) for text in stage.arguments(instruction)][-1]
