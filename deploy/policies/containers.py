"""The commands, variables and volumes of containers are complete.

A part of ``references``: here a name leads into the container itself.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import typer

import client.cli
import export.cli
from deploy.policies.rendering import Manifests, Object, Pods
from retrieval_server.cli import create_app

IN_THE_IMAGE = {"/models"}
PATH = re.compile(r"(?:^|(?<=[\s=]))/[a-z][\w./-]*")
SET_BY_A_JOB = {"JOB_COMPLETION_INDEX"}
WAITING = (
    "Deployment/retrieval",
    "Deployment/writer",
    *(f"Job/{name}" for name in ("extract-descriptors", "merge-index", "fit-texts", "join-texts")),
    "Job/load-index",
)
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
SHELL_WORDS = {"do", "done", "if", "then", "fi", "until", "while", "!", "[", "]"}
WAITS = re.compile(r"\buntil (?!!).*; do sleep ([1-9]|[12]\d); done")
COMMANDS = {"tritonserver", "beauty-server", "beauty-export", "beauty-search", "sh"}


def container_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    """What is missing in the containers of a workload, one line each."""
    scripts = [" ".join(each.get("args", ())) for each in pods.spec.get("initContainers", ())]
    if pods.owner in WAITING and not any(WAITS.search(each) for each in scripts):
        yield f"{pods.owner} has no init container that waits for its input, some seconds a time"
    for volume in pods.spec.get("volumes", ()):
        if len(volume) != 2 or not all(volume.values()):
            yield f"{pods.owner}'s volume {volume['name']} does not have exactly one source"
    for container in pods.containers:
        name = f"{pods.owner}, container {container['name']},"
        command = container.get("command") or ["nothing"]
        if command[0] not in COMMANDS:
            yield f"{name} runs {command[0]}, which is none of {', '.join(sorted(COMMANDS))}"
        yield from (f"{name} {words}" for words in _environment_findings(rendered, container))
        yield from (f"{name} {words}" for words in _path_findings(rendered, container))
        yield from (f"{name} {words}" for words in _argument_findings(rendered, container))


def _environment_findings(rendered: Manifests, container: Object) -> Iterator[str]:
    """Every variable has a value, and every variable that is used is set."""
    for each in container.get("env", ()):
        if "value" not in each and not all(each.get("valueFrom", {"": None}).values()):
            yield f"has no value of {each['name']}"
    known = {each["name"] for each in container.get("env", ())}
    known |= set(rendered.environment_of(container)) | SET_BY_A_JOB
    text = " ".join(container.get("args", ()))
    for variable in sorted(set(re.findall(r"\$[({]?\(?([A-Z][A-Z_]+)", text)) - known):
        yield f"uses {variable}, which is not set"


def _path_findings(rendered: Manifests, container: Object) -> Iterator[str]:
    """Paths in the environment and in the arguments lie in the image or on a mounted volume."""
    mounts = {mount["mountPath"] for mount in container.get("volumeMounts", ())}
    words = [*rendered.environment_of(container).values(), *container.get("args", ())]
    for path in sorted({path for word in words for path in PATH.findall(word)}):
        if not any(f"{path}/".startswith(f"{mount}/") for mount in mounts | IN_THE_IMAGE):
            yield f"names {path}, where nothing is mounted"


def _argument_findings(rendered: Manifests, container: Object) -> Iterator[str]:
    """Our commands have the options and arguments that they are given."""
    words = [*container.get("command", ()), *container.get("args", ())] or ["nothing"]
    scripts = [each for each in (words,) if each[0] == "sh"]
    for kind in PROBES:
        probe = container.get(kind, {"exec": {"command": ["sh", "-c", ""]}})
        if len({"grpc", "httpGet", "exec"} & set(probe)) != 1:
            yield f"has a {kind} that does not ask one thing"
        asked = probe["exec"].get("command", []) if "exec" in probe else ["sh", "-c", ""]
        scripts.append(asked)
        limits = re.findall(r"\bcurl\b[^\n]* --max-time (\d+)", " ".join(asked))
        if any("curl" in each for each in asked) and not limits:
            yield f"has a {kind} whose curl has no --max-time"
    problems = [problem for each in scripts for problem in _script_problems(each)]
    yield from problems
    if problems:
        return
    env = rendered.environment_of(container)
    for program, *words in commands_of(rendered, container):
        if program in our_commands():
            yield from option_findings(program, words, env)


def option_findings(program: str, words: Sequence[str], env: dict[str, str]) -> Iterator[str]:
    """What is wrong with the options and arguments of one of our commands.

    Args:
        program: one of ``our_commands``.
        words: what follows it.
        env: the environment, which may have what an option would say.
    """
    words = list(words)
    command = our_commands()[program]
    serves = program == "beauty-server" and (not words or words[0].startswith("-"))
    if hasattr(command, "commands") and not serves:
        verb = words.pop(0) if words else ""
        if verb not in command.commands:
            yield f"runs {program} {verb}, which does not exist"
            return
        command = command.commands[verb]
    options = {name for each in command.params for name in each.opts if name.startswith("-")}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    yield from (
        f"has the option {option}, which does not exist" for option in sorted(given - options)
    )
    for each in command.params:
        is_option = each.opts[0].startswith("-")
        is_given = bool(given & set(each.opts)) if is_option else len(words) > len(given)
        if each.required and not is_given and each.envvar not in env:
            yield f"does not have the required {each.opts[0]}"


def commands_of(rendered: Manifests, container: Object) -> list[list[str]]:
    """The commands that a container runs, their variables replaced; those of its script, if any.

    Args:
        rendered: with the ConfigMaps of its variables.
        container: with a ``command``.
    """
    env = rendered.environment_of(container)
    words = [*container.get("command", ()), *container.get("args", ())]
    if words[:2] != ["sh", "-c"]:
        return [[re.sub(r"\$\((\w+)\)", lambda found: env.get(found[1], ""), w) for w in words]]
    script = re.sub(
        r"\$\{?(\w+)\}?", lambda found: env.get(found[1], found[0]), " ".join(words[2:])
    )
    lexer = shlex.shlex(script.replace("\n", ";"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|()") or word in SHELL_WORDS:
            commands.append([])
        else:
            commands[-1].append(word)
    return [each for each in commands if each]


def _script_problems(words: Sequence[str]) -> Iterator[str]:
    if len(words) != 3 or list(words[:2]) != ["sh", "-c"]:
        yield "runs a shell without -c and one script"
    elif error := _syntax_error(words[2]):
        yield f"has a script that no shell reads: {error}"


@cache
def _syntax_error(script: str) -> str:
    """What a shell says of a script that it reads and does not run; empty if nothing."""
    done = subprocess.run(  # noqa: S603 - it is read, not run
        ["sh", "-n", "-c", script],  # noqa: S607 - any shell
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()


@cache
def our_commands() -> dict[str, Any]:
    """The command lines of this project by name."""
    return {
        "beauty-export": typer.main.get_command(export.cli.app),
        "beauty-search": typer.main.get_command(client.cli.app),
        "beauty-server": typer.main.get_command(create_app()),
    }
