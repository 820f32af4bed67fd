"""What a kubelet does with a pod, for one that runs on this machine: probes, environment, the end.

What is mapped from the container to this machine stands in ``Place``; everything else is taken from
the manifest as it is. Of its image, a process has the packages. Not done: other files of images,
users, mounts, a read-only root, limits, network policies.
"""

import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.policies.belonging import stage_of
from deploy.policies.rendering import Manifests, Pods
from deploy.policies.rendering.quantities import quantity
from tests.support.deploy.image_packages import environment_of_image
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE_S

HURRY = 10  # probes come so many times as often, and as many of them may fail


@dataclass(frozen=True)
class Place:
    """Where on this machine is what the containers know by other names.

    Attributes:
        programs: command lines by the name of a program.
        paths: folders by their path in the container.
        ports: this machine's ports by those of the containers, by pod.
        words: what else has another name here.
        left_out: variables that are of no use here.
        more_arguments: by program; what it needs on this machine only.
        of_the_images: variables that the images set.
    """

    programs: dict[str, list[str]]
    paths: dict[str, Path]
    ports: dict[str, dict[int, int]]
    words: dict[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    more_arguments: dict[str, list[str]] = field(default_factory=dict)
    of_the_images: dict[str, str] = field(default_factory=dict)

    def translated(self, text: str, pod: str) -> str:
        """A word of a command or a value of the environment, as it is on this machine."""
        known = "|".join(self.paths)  # all at once: a folder here may have such a name inside
        text = re.sub(
            rf"(?<![\w/])({known})(?![\w-])", lambda found: str(self.paths[found[1]]), text
        )
        for service, ports in self.ports.items():
            for port, here in ports.items():
                text = re.sub(rf"(?<![\w.-]){service}:{port}\b", f"127.0.0.1:{here}", text)
        own = self.ports.get(pod, {})
        for port, here in own.items():
            text = re.sub(rf"(?<![\w.-])localhost:{port}\b", f"127.0.0.1:{here}", text)
        if match := re.fullmatch(r"((?:--(?:[a-z-]+-)?port=)?)(\d+)", text):
            text = match[1] + str(own.get(int(match[2]), match[2]))
        return self.words.get(text, text)


@dataclass
class RunningPod:
    """A pod's main container, running.

    Attributes:
        pods: what the manifest says.
        place: where it runs.
        process: of it.
        env: its environment.
        log: what it says.
    """

    pods: Pods
    place: Place
    process: subprocess.Popen[bytes]
    env: dict[str, str]
    log: Path

    @property
    def name(self) -> str:
        return self.pods.owner.split("/")[1]

    def address(self, port: int | str) -> str:
        """Where this machine answers for a port of the container, or one of its names."""
        named = {each["name"]: each["containerPort"] for each in self.pods.main["ports"]}
        return f"127.0.0.1:{self.place.ports[self.name][named.get(port, port)]}"

    def passes(self, kind: str) -> bool:
        """One probe; how long it takes says nothing on a machine that is many times overloaded."""
        probe = self.pods.main[f"{kind}Probe"]
        if "exec" in probe:
            return self.runs(probe["exec"]["command"])
        if "grpc" in probe:
            with grpc.insecure_channel(self.address(probe["grpc"]["port"])) as channel:
                request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
                try:
                    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S)
                except grpc.RpcError:
                    return False
                return answer.status == health_pb2.HealthCheckResponse.SERVING
        get = probe["httpGet"]
        try:
            url = f"http://{self.address(get['port'])}{get['path']}"
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return 200 <= answer.status < 400
        except (urllib.error.URLError, OSError):
            return False

    def runs(self, command: list[str]) -> bool:
        """One command inside of the container, where process 1 is the container's own."""
        inside = replace(
            self.place, paths={**self.place.paths, "/proc/1": Path(f"/proc/{self.process.pid}")}
        )
        words = [inside.translated(word, self.name) for word in command]
        return subprocess.run(words, env=self.env, check=False, timeout=PATIENCE_S).returncode == 0

    def start_up(self) -> None:
        """Wait for the startup probe as long as a kubelet does, then for readiness."""
        for kind in ("startup", "readiness"):
            probe = self.pods.main[f"{kind}Probe"]
            time.sleep(probe.get("initialDelaySeconds", 0))
            for _ in range(probe.get("failureThreshold", 3) * HURRY):
                assert self.process.poll() is None, self.log.read_text()
                if self.passes(kind):
                    break
                time.sleep(probe.get("periodSeconds", 10) / HURRY)
            else:
                raise AssertionError(f"{self.name} would be killed: {self.log.read_text()}")
        assert self.passes("liveness")

    def end(self) -> float:
        """SIGTERM; the seconds that are left of the grace period when it has ended.

        The pause of ``preStop`` is not waited for, only counted: nothing happens in it.
        """
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        pause = self.pods.main["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = self.pods.spec["terminationGracePeriodSeconds"] - pause
        assert self.process.wait(grace) == 0, self.log.read_text()
        return grace - (time.monotonic() - started)


def environment(rendered: Manifests, pods: Pods, container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container: ConfigMaps, values, and what the API server fills in."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        config = rendered.find("ConfigMap", source["configMapRef"]["name"])
        assert config is not None
        found |= config["data"]
    for each in container.get("env", ()):
        source = each.get("valueFrom", {})
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.uid"
            found[each["name"]] = str(uuid.uuid4())
        elif "configMapKeyRef" in source:
            config = rendered.find("ConfigMap", source["configMapKeyRef"]["name"])
            assert config is not None
            found[each["name"]] = config["data"][source["configMapKeyRef"]["key"]]
        elif "resourceFieldRef" in source:
            kind, resource = source["resourceFieldRef"]["resource"].split(".")
            asked = container["resources"][kind][resource]
            found[each["name"]] = str(math.ceil(quantity(asked)))
        else:
            found[each["name"]] = each["value"]
    return found


def command_line(
    rendered: Manifests, pods: Pods, container: dict[str, Any], place: Place
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a container, on this machine."""
    name = pods.owner.split("/")[1]
    env = environment(rendered, pods, container)
    words = [*container["command"], *container.get("args", ())]
    words = [re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], word) for word in words]
    program, *arguments = (place.translated(word, name) for word in words)
    command = place.programs.get(program, [program])
    own = {
        key: place.translated(value, name)
        for key, value in env.items()
        if key not in place.left_out
    }
    inherited = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    # The image finds its commands on PATH; here they are beside the interpreter.
    programs = [str(Path(sys.executable).parent), *filter(None, [inherited.get("PATH")])]
    search_path = {"PATH": os.pathsep.join(programs), "PYTHONPATH": str(ROOT)}
    search_path |= environment_of_image(stage_of(container["image"]))
    return (
        [*command, *arguments, *place.more_arguments.get(program, ())],
        {**inherited, **search_path, **place.of_the_images, **own},
    )


@contextmanager
def running(rendered: Manifests, name: str, place: Place, folder: Path) -> Iterator[RunningPod]:
    """Run a pod: its init containers to their end, then the main one."""
    (pods,) = rendered.pods(name)
    for each in pods.spec.get("initContainers", ()):
        command, env = command_line(rendered, pods, each, place)
        subprocess.run(command, env=env, check=True, timeout=PATIENCE_S, capture_output=True)
    command, env = command_line(rendered, pods, pods.main, place)
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=env, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
    try:
        yield RunningPod(pods, place, process, env, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_job(
    rendered: Manifests, name: str, place: Place, **more_env: str
) -> subprocess.CompletedProcess[str]:
    """Run the pod of a job: its init containers, then the main one, to its end.

    Args:
        rendered: with the job.
        name: of it.
        place: where it runs.
        more_env: what the job's controller adds.
    """
    (pods,) = rendered.pods(name)
    for each in pods.spec.get("initContainers", ()):
        command, env = command_line(rendered, pods, each, place)
        first = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        if first.returncode:
            return first
    command, env = command_line(rendered, pods, pods.main, place)
    return subprocess.run(
        command, env=env | more_env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
