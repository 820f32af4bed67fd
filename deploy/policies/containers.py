"""The commands, variables and volumes of containers are complete.

A part of ``references``: here a name leads into the container itself.
"""

import re
from collections.abc import Iterator
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
WAITING = ("Deployment/retrieval", "Job/extract-descriptors", "Job/merge-index")
COMMANDS = {"tritonserver", "beauty-server", "beauty-export", "beauty-search", "sh"}


def container_findings(rendered: Manifests, pods: Pods) -> Iterator[str]:
    """What is missing in the containers of a workload, one line each."""
    if pods.owner in WAITING and not pods.spec.get("initContainers"):
        yield f"{pods.owner} has no init container that waits for its input"
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
    program, *words = [*container.get("command", ()), *container.get("args", ())] or ["nothing"]
    if program == "sh" and (len(words) != 2 or words[0] != "-c"):
        yield "runs a shell without -c and one script"
    if program not in our_commands():
        return
    env = rendered.environment_of(container)
    words = [re.sub(r"\$\((\w+)\)", lambda found: env.get(found[1], ""), each) for each in words]
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


@cache
def our_commands() -> dict[str, Any]:
    """The command lines of this project by name."""
    return {
        "beauty-export": typer.main.get_command(export.cli.app),
        "beauty-search": typer.main.get_command(client.cli.app),
        "beauty-server": typer.main.get_command(create_app()),
    }
