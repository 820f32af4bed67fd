"""Policy "compose": the services of one machine agree with their images and with each other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.policies.belonging import IMAGES
from deploy.policies.containers import option_findings, our_commands
from deploy.policies.fields.kinds import argument_problems
from deploy.policies.fields.schema import load, problems
from deploy.policies.rendering import Object
from deploy.policies.rendering.quantities import flag, number, quantity
from deploy.policies.sources import read_yaml
from retrieval_server.serving.settings import Settings

FILES = {"compose.yaml": "compose", "compose.gpu.yaml": "compose_gpu"}
TRITON = "triton_of_compose"  # the schema of its arguments
GRPC_PORT = "8001"  # Triton's own
SPARE_S = 5
SMALLEST_TMP = "64Mi"  # numba's cache is in it
TMPFS = re.compile(r"/tmp:mode=1777,size=(\w+)")  # noqa: S108 - a container's own
MOUNT = re.compile(r":(/[\w/]+)(:ro)?$")
SIZE = re.compile(r"(\d+)([kmg])b?")


def composed(deploy: Path) -> Iterator[str]:
    """The Compose files have known fields, and the relations between them hold."""
    files = {name: _read(deploy / name) for name in FILES if (deploy / name).is_file()}
    for name, content in files.items():
        yield from (f"{name}: {words}" for words in problems(load(FILES[name]), content))
    if len(files) < len(FILES):
        yield f"{' or '.join(FILES)} is missing"
        return
    whole, gpu = files.values()
    for words in _service_findings(deploy, whole["services"]):
        yield f"compose.yaml: {words}"
    wanted = [*whole["services"]["triton"]["command"], "--model-config-name=cuda"]
    if gpu["services"]["triton"]["command"] != wanted:
        yield "compose.gpu.yaml: Triton's command differs by more than --model-config-name=cuda"


def _read(path: Path) -> Any:
    """A file, its sizes written as Kubernetes writes them."""
    (content,) = read_yaml(path)
    for service in content["services"].values():
        if "shm_size" in service:
            service["shm_size"] = _size(service["shm_size"])
    return content


def _size(text: object) -> str:
    return SIZE.sub(lambda found: f"{found[1]}{found[2].replace('k', 'K').upper()}i", str(text))


def _service_findings(deploy: Path, services: Object) -> Iterator[str]:
    version = tomllib.loads((deploy.parent / "pyproject.toml").read_text("utf-8"))["project"]
    for name, service in services.items():
        image = f"beauty-retrieval-{service['build']['target']}:{version['version']}"
        if service["image"] != image:
            yield f"{name} has the image {service['image']}, which its target builds as {image}"
        yield from (f"{name} {words}" for words in _command_findings(name, service))
        yield from (f"{name} {words}" for words in _tmp_findings(service))
        environment = service.get("environment", {})
        url = environment.get("RETRIEVAL_TRITON_URL", f"triton:{GRPC_PORT}")
        if url != f"triton:{_grpc_port(services)}":
            yield f"{name} asks {url}, where Triton does not answer gRPC"
    targets = {name: service["build"]["target"] for name, service in services.items()}
    if targets != {"triton": "triton", "retrieval": "server", "index": "export"}:
        yield f"the targets of the services are {targets}"
    yield from _engine_findings(services)
    yield from _end_findings(services)


def _grpc_port(services: Object) -> str:
    return flag(services["triton"]["command"], "--grpc-port") or GRPC_PORT


def _command_findings(name: str, service: Object) -> Iterator[str]:
    program, *words = service.get("command", ["beauty-server"])
    if IMAGES.get(program) != service["build"]["target"]:
        yield f"runs {program}, which is not in its image"
        return
    yield from argument_problems([program, *words], TRITON)
    if program in our_commands() and "command" in service:
        yield from option_findings(program, words, service["environment"])


def _tmp_findings(service: Object) -> Iterator[str]:
    for each in service.get("tmpfs", ()):
        found = TMPFS.fullmatch(each)
        if not found or quantity(_size(found[1])) < quantity(SMALLEST_TMP):
            yield f"has the tmpfs {each}; it needs /tmp:mode=1777 of {SMALLEST_TMP} or more"


def _engine_findings(services: Object) -> Iterator[str]:
    """The descriptors of the index and of the queries come from one Triton."""
    for name in ("retrieval", "index"):
        environment = services[name]["environment"]
        for variable in ("RETRIEVAL_ENGINE", "RETRIEVAL_TRITON_URL"):
            if variable not in environment:
                yield f"{name} does not set {variable}"
    command = services["index"]["command"]
    mounts = [found for each in services["index"]["volumes"] if (found := MOUNT.search(each))]
    is_read_only = {found[1]: bool(found[2]) for found in mounts}
    for path, is_read in ((flag(command, "--output"), False), (command[2], True)):
        if is_read_only.get(path or "") is not is_read:
            yield f"index {'reads' if is_read else 'writes to'} {path}, which is not mounted for it"
    if len(set(services["retrieval"]["networks"])) < 2:
        yield "retrieval is not on both networks, models and outside"


def _end_findings(services: Object) -> Iterator[str]:
    """A service that is told to end has time to finish what it has begun."""
    values = services["retrieval"]["environment"]
    delay = number(values.get("RETRIEVAL_DRAIN_DELAY_S", Settings.drain_delay_s))
    drains = {
        "retrieval": delay + number(values.get("RETRIEVAL_DRAIN_S", Settings.drain_s)),
        "triton": number(flag(services["triton"]["command"], "--exit-timeout-secs")),
    }
    for name, drain in drains.items():
        grace = number(str(services[name]["stop_grace_period"]).removesuffix("s"))
        if drain + SPARE_S > grace:
            yield f"{name} is killed after {grace:g} s; it needs {drain + SPARE_S:g} s"
