"""The sixteen points that every rendering has to meet: the first eight, on workloads.

One function for each point; each gives back findings, and every finding names its object. The other
points stand in ``security`` and ``services``.
"""

from collections.abc import Iterator

from deploy.policies.rendering.objects import Manifests, Object, Pods
from deploy.policies.rendering.quantities import flag, number, quantity, seconds_of_triton
from retrieval_server.settings import Settings

READY_PATH, LIVE_PATH = "/v2/health/ready", "/v2/health/live"
READY_SERVICE = "retrieval_server.v1.RetrievalService"
SERVERS = ("triton", "retrieval")
GPU = "nvidia.com/gpu"
SPARE_S = 5  # between the end of everything planned and the kill
PROPAGATION_S = 5  # until every endpoint is told
LONG_START_S = 120
SLOWEST_S = 60  # a pod that cannot serve leaves the endpoints sooner
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of the libraries, in each search
THREADS = {"triton": ("OMP_NUM_THREADS",), "retrieval": ("RETRIEVAL_WORKERS",)}


def separate_stateless_workloads(rendered: Manifests) -> Iterator[str]:
    """1: Triton and the server are Deployments of their own; what they read they cannot write."""
    for name in SERVERS:
        if rendered.find("Deployment", name) is None:
            yield f"Deployment/{name} is missing"
    for pods in rendered.pods(*SERVERS):
        kinds = {volume["name"]: set(volume) - {"name"} for volume in pods.spec.get("volumes", ())}
        for container in pods.containers:
            for mount in container.get("volumeMounts", ()):
                lasting = kinds.get(mount["name"], set()) & {"persistentVolumeClaim", "image"}
                if lasting and not mount.get("readOnly"):
                    yield f"{pods.owner} can write {mount['mountPath']}"
    for claim in ("models", "index"):
        if any(claim_of(volume) == claim for volume in volumes_of(rendered, "triton")):
            yield f"Deployment/triton holds on to the volume {claim}"


def probes_that_tell_apart(rendered: Manifests) -> Iterator[str]:
    """2: a start may take minutes, readiness turns soon, liveness asks for no more than life."""
    for pods in rendered.pods(*SERVERS):
        probes = {
            kind: pods.main.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")
        }
        missing = [kind for kind, probe in probes.items() if not probe]
        yield from (f"{pods.owner} has no {kind}Probe" for kind in missing)
        if missing:
            continue
        start, ready, live = probes["startup"], probes["readiness"], probes["liveness"]
        if lasts_s(start) < LONG_START_S:
            yield f"{pods.owner} is killed after {lasts_s(start)} s of starting"
        if lasts_s(ready) > SLOWEST_S or lasts_s(ready) >= lasts_s(live):
            yield f"{pods.owner} is restarted before it is taken out of the endpoints"
        expected = {"startup": True, "readiness": True, "liveness": False}
        for kind, wants_ready in expected.items():
            if asks_for_readiness(probes[kind]) is not wants_ready:
                yield f"{pods.owner}'s {kind}Probe asks {target_of(probes[kind])}"
        for kind, probe in probes.items():
            if probe.get("timeoutSeconds", 1) > probe.get("periodSeconds", 10):
                yield f"{pods.owner}'s {kind}Probe may take longer than its period"


def lasts_s(probe: Object) -> int:
    """How long a probe fails before anything follows."""
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return probe.get("initialDelaySeconds", 0) + period * failures


def asks_for_readiness(probe: Object) -> bool | None:
    """Whether a probe asks for readiness; None if it asks for neither that nor life."""
    known = {READY_PATH: True, LIVE_PATH: False, READY_SERVICE: True, "": False}
    return known.get(target_of(probe))


def target_of(probe: Object) -> str:
    if "grpc" in probe:
        return probe["grpc"].get("service", "")
    return probe.get("httpGet", {}).get("path", "nothing")


def ends_within_its_grace(rendered: Manifests) -> Iterator[str]:
    """3: told to end, a pod goes on until nobody sends to it, then finishes what it has."""
    for pods in rendered.pods(*SERVERS):
        pause = pods.main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pause < PROPAGATION_S:
            yield f"{pods.owner} stops {pause} s after it is told to: others still send to it"
        settings = settings_of(rendered, pods.main)
        if pods.owner.endswith("triton"):
            drain = seconds_of_triton(pods.main["args"], "--exit-timeout-secs")
        else:
            drain = sum(
                number(settings.get(f"RETRIEVAL_DRAIN_{each}S", default))
                for each, default in (("", Settings.drain_s), ("DELAY_", Settings.drain_delay_s))
            )
        if not drain:
            yield f"{pods.owner} does not say how long requests may take to finish"
            continue
        grace = pods.spec.get("terminationGracePeriodSeconds", 30)
        if pause + drain + SPARE_S > grace:
            yield f"{pods.owner} is killed after {grace} s; it needs {pause} + {drain} + {SPARE_S}"


def rollouts_that_end(rendered: Manifests) -> Iterator[str]:
    """4: a rollout loses no capacity; with GPUs it asks for none that is not there."""
    for name in SERVERS:
        spec = rendered.get(f"Deployment/{name}")["spec"]
        rolling = spec.get("strategy", {}).get("rollingUpdate", {})
        surge, lost = rolling.get("maxSurge"), rolling.get("maxUnavailable")
        if uses_gpu(rendered.pods(name)[0]):
            if (surge, lost) != (0, 1):
                yield f"Deployment/{name} asks for a GPU more in a rollout (maxSurge {surge})"
        elif not surge or lost != 0:
            yield f"Deployment/{name} loses pods in a rollout (maxUnavailable {lost})"
        for field in ("minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit"):
            if not spec.get(field):
                yield f"Deployment/{name} has no {field}"


def uses_gpu(pods: Pods) -> bool:
    return GPU in pods.main["resources"].get("limits", {})


def one_autoscaler_each(rendered: Manifests) -> Iterator[str]:
    """5: one autoscaler owns the replicas; it grows quickly, shrinks slowly, and not by memory."""
    scalers = rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject")
    for name in SERVERS:
        own = [each for each in scalers if each["spec"]["scaleTargetRef"]["name"] == name]
        if len(own) != 1:
            yield f"Deployment/{name} has {len(own)} autoscalers"
        if "replicas" in rendered.get(f"Deployment/{name}")["spec"]:
            yield f"Deployment/{name} sets replicas, which its autoscaler owns"
    for scaler in scalers:
        yield from scaler_findings(scaler)


def scaler_findings(scaler: Object) -> Iterator[str]:
    name, spec = f"{scaler['kind']}/{scaler['metadata']['name']}", scaler["spec"]
    if scaler["kind"] == "ScaledObject":
        low, high = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
        behavior = (
            spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        )
        if not low <= spec.get("fallback", {}).get("replicas", 0) <= high:
            yield f"{name} has no fallback between {low} and {high}"
        by_memory = any(each["type"] == "memory" for each in spec["triggers"])
        if not all(each.get("metadata") for each in spec["triggers"]) or not spec["triggers"]:
            yield f"{name} measures nothing"
    else:
        low, high = spec.get("minReplicas", 1), spec["maxReplicas"]
        behavior = spec.get("behavior", {})
        metrics = spec.get("metrics", ())
        by_memory = any(each.get("resource", {}).get("name") == "memory" for each in metrics)
        if not metrics:
            yield f"{name} measures nothing"
    if not 1 <= low < high:
        yield f"{name} cannot scale from {low} to {high}"
    if by_memory:
        yield f"{name} scales by memory, which counts the mapped index"
    if behavior.get("scaleDown", {}).get("stabilizationWindowSeconds", 300) < 300 or not behavior:
        yield f"{name} shrinks in haste"
    if behavior.get("scaleUp", {}).get("stabilizationWindowSeconds", 0) > 60:
        yield f"{name} grows slowly"


def spread_and_protected(rendered: Manifests) -> Iterator[str]:
    """6: one pod at a time is evicted; the pods of a revision stand in several zones and hosts."""
    for name in SERVERS:
        budget = rendered.find("PodDisruptionBudget", name)
        spec = budget["spec"] if budget else {}
        if spec.get("maxUnavailable") != 1:
            yield f"PodDisruptionBudget/{name} does not let one pod go at a time"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget/{name} lets pods that are not ready block a drain"
        (pods,) = rendered.pods(name)
        spread = pods.spec.get("topologySpreadConstraints", ())
        if {each["topologyKey"] for each in spread} != {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }:
            yield f"Deployment/{name} is not spread over zones and hosts"
        for each in spread:
            taken = each["labelSelector"].get("matchLabels", {})
            if not taken or not taken.items() <= pods.labels.items():
                yield f"Deployment/{name} spreads other pods than its own"
            if each.get("matchLabelKeys") != ["pod-template-hash"]:
                yield f"Deployment/{name} counts the pods of old revisions when it spreads"


def bounded_resources(rendered: Manifests) -> Iterator[str]:
    """7: asks for what it needs, is bounded in memory and disk, and throttled in nothing."""
    for pods in rendered.pods():
        for container in pods.containers:
            name = f"{pods.owner}, container {container['name']},"
            asked = container.get("resources", {}).get("requests", {})
            limits = container.get("resources", {}).get("limits", {})
            for resource in ("cpu", "memory", "ephemeral-storage"):
                if resource not in asked:
                    yield f"{name} asks for no {resource}"
            for resource in ("memory", "ephemeral-storage"):
                if resource not in limits:
                    yield f"{name} has no limit of {resource}"
                elif quantity(limits[resource]) < quantity(asked.get(resource, "0")):
                    yield f"{name} asks for more {resource} than its limit"
            if "cpu" in limits:
                yield f"{name} is throttled by a CPU limit"
        for volume in pods.spec.get("volumes", ()):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{pods.owner}'s volume {volume['name']} has no sizeLimit"
        yield from thread_findings(pods)
    shm = [mount for mount in rendered.pods("triton")[0].main.get("volumeMounts", ()) if
           mount["mountPath"] == "/dev/shm"]  # fmt: skip
    memory = {volume["name"] for volume in volumes_of(rendered, "triton")
              if (volume.get("emptyDir") or {}).get("medium") == "Memory"}  # fmt: skip
    if not any(mount["name"] in memory for mount in shm):
        yield "Deployment/triton has the 64 MiB of /dev/shm of a container"


def thread_findings(pods: Pods) -> Iterator[str]:
    """Threads follow from the CPUs asked for, and the compiled search has a place to be kept."""
    name = pods.owner.split("/")[1]
    env = {each["name"]: each for each in pods.main.get("env", ())}
    for variable in THREADS.get(name, ()):
        source = env.get(variable, {}).get("valueFrom", {}).get("resourceFieldRef", {})
        if source.get("resource") != "requests.cpu":
            yield f"{pods.owner} starts as many threads as the node has cores ({variable})"
    for variable in ONE_THREAD if name == "retrieval" else ():
        if env.get(variable, {}).get("value") != "1":
            yield f"{pods.owner} starts threads inside of each search ({variable})"
    wants_gpu = flag(pods.main.get("args", ()), "--model-config-name") in {"cuda", "tensorrt"}
    if wants_gpu is not uses_gpu(pods):
        yield f"{pods.owner}: its configurations and its limits disagree about a GPU"
    tolerated = {each.get("key") for each in pods.spec.get("tolerations", ())}
    if uses_gpu(pods) and GPU not in tolerated:
        yield f"{pods.owner} is kept away from the nodes with GPUs"
    asked = {kind: pods.main["resources"].get(kind, {}).get(GPU) for kind in ("requests", "limits")}
    if asked["requests"] != asked["limits"]:
        yield f"{pods.owner} asks for other GPUs than its limit"
    for container in pods.containers:
        if not any(word.startswith("beauty-server") for word in container.get("command", ())):
            continue
        cache = next((e.get("value") for e in container.get("env", ()) if
                      e["name"] == "NUMBA_CACHE_DIR"), None)  # fmt: skip
        writable = {mount["mountPath"] for mount in container.get("volumeMounts", ())
                    if not mount.get("readOnly")}  # fmt: skip
        if cache not in writable:
            yield f"{pods.owner} compiles the search at each start: NUMBA_CACHE_DIR is {cache}"


def models_that_stay_what_they_are(rendered: Manifests) -> Iterator[str]:
    """8: models and index come whole and are not changed while they are used."""
    (triton,) = rendered.pods("triton")
    if "--model-control-mode=none" not in triton.main["args"]:
        yield "Deployment/triton lets models be loaded while it runs"
    if not any(word.startswith("--model-repository=") for word in triton.main["args"]):
        yield "Deployment/triton has no model repository"
    for pods in rendered.pods():
        for volume in pods.spec.get("volumes", ()):
            reference = volume.get("image", {}).get("reference", "@sha256:")
            if "@sha256:" not in reference:
                yield f"{pods.owner}'s volume {volume['name']} is an image without a digest"
            if "hostPath" in volume:
                yield f"{pods.owner}'s volume {volume['name']} is a folder of the node"


def volumes_of(rendered: Manifests, name: str) -> list[Object]:
    return [volume for pods in rendered.pods(name) for volume in pods.spec.get("volumes", ())]


def claim_of(volume: Object) -> str | None:
    return volume.get("persistentVolumeClaim", {}).get("claimName")


def settings_of(rendered: Manifests, container: Object) -> dict[str, str]:
    """The environment of a container, where it is written down."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        reference = rendered.find("ConfigMap", source.get("configMapRef", {}).get("name", ""))
        found |= reference["data"] if reference else {}
    for each in container.get("env", ()):
        key = each.get("valueFrom", {}).get("configMapKeyRef") or {}
        reference = rendered.find("ConfigMap", key.get("name", ""))
        if reference and key["key"] in reference["data"]:
            found[each["name"]] = reference["data"][key["key"]]
        elif "value" in each:
            found[each["name"]] = each["value"]
    return found
