"""Policies 1 to 8, on workloads: probes, rollouts, autoscalers, disruptions, resources, models."""

from collections.abc import Iterator

from deploy.policies.probes import http_request
from deploy.policies.rendering import Manifests, Object, Pods
from deploy.policies.rendering.quantities import flag, number, quantity, seconds_of_triton
from retrieval_server.serving.settings import Settings

READY_PATH, LIVE_PATH = "/v2/health/ready", "/v2/health/live"
READY_SERVICE = "retrieval_server.v1.RetrievalService"
SERVERS = ("triton", "retrieval")
WRITER = "writer"  # of the component changes; see policy "changes", too
GPU = "nvidia.com/gpu"
FOR_A_GPU = ("cuda", "tensorrt")  # configurations of Triton's models
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of a container, with 64 MiB if nothing is mounted there
SPARE_S = 5  # between the end of everything planned and the kill
PROPAGATION_S = 5  # until every endpoint is told
LONG_START_S = 120
SLOWEST_S = 60  # a pod that cannot serve leaves the endpoints sooner
LEAST_IN_PRODUCTION = 2  # pods: one may be evicted, or its node may fail
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of the libraries, in each search
THREADS = {
    "triton": ("OMP_NUM_THREADS",),
    "retrieval": ("RETRIEVAL_WORKERS",),
    WRITER: ("RETRIEVAL_WORKERS",),
}


def separate_stateless_workloads(rendered: Manifests) -> Iterator[str]:
    """1: Triton and the server are separate Deployments, and cannot write the volumes they read."""
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
        if any(_claim_of(volume) == claim for volume in _volumes_of(rendered, "triton")):
            yield (
                f"Deployment/triton mounts the volume {claim}, which new pods of other nodes "
                "then wait for"
            )


def probes_that_tell_apart(rendered: Manifests) -> Iterator[str]:
    """2: startup takes minutes, readiness is lost soon, liveness does not depend on readiness."""
    for pods in rendered.pods(*SERVERS, WRITER):
        kinds = ("startup", "readiness", "liveness")
        probes: dict[str, Object] = {kind: pods.main.get(f"{kind}Probe") or {} for kind in kinds}
        missing = [kind for kind, probe in probes.items() if not probe]
        yield from (f"{pods.owner} has no {kind}Probe" for kind in missing)
        if missing:
            continue
        start, ready, live = probes["startup"], probes["readiness"], probes["liveness"]
        if _lasts_s(start) < LONG_START_S:
            yield (
                f"{pods.owner} is killed {_lasts_s(start)} s after its start, before "
                f"{LONG_START_S} s"
            )
        if _lasts_s(ready) > SLOWEST_S or _lasts_s(ready) >= _lasts_s(live):
            yield (
                f"{pods.owner} is not taken out of the endpoints within {SLOWEST_S} s and "
                "before a restart"
            )
        expected = {"startup": True, "readiness": True, "liveness": False}
        for kind, wants_ready in expected.items():
            if _asks_for_readiness(probes[kind]) is not wants_ready:
                yield f"{pods.owner}'s {kind}Probe asks {_target_of(probes[kind])!r}"
        for kind, probe in probes.items():
            if probe.get("timeoutSeconds", 1) > probe.get("periodSeconds", 10):
                yield f"{pods.owner}'s {kind}Probe has a timeout longer than its period"


def _lasts_s(probe: Object) -> int:
    """How long a probe has to fail until the kubelet acts."""
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return int(probe.get("initialDelaySeconds", 0) + period * failures)


def _asks_for_readiness(probe: Object) -> bool | None:
    """Whether a probe asks for readiness; None if it asks for neither readiness nor liveness."""
    known = {READY_PATH: True, LIVE_PATH: False, READY_SERVICE: True, "": False}
    return known.get(_target_of(probe))


def _target_of(probe: Object) -> str:
    if "grpc" in probe:
        return str(probe["grpc"].get("service", ""))
    return http_request(probe)[1]


def ends_within_its_grace(rendered: Manifests) -> Iterator[str]:
    """3: a pod that ends serves until its endpoint is removed, and then finishes its requests."""
    for pods in rendered.pods(*SERVERS, WRITER):
        pause = pods.main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pause < PROPAGATION_S:
            yield f"{pods.owner} has a preStop sleep of {pause} s, less than {PROPAGATION_S} s"
        settings = rendered.environment_of(pods.main)
        if pods.owner.endswith("triton"):
            drain = seconds_of_triton(pods.main["args"], "--exit-timeout-secs")
        else:
            drain = sum(
                number(settings.get(f"RETRIEVAL_DRAIN_{each}S", default))
                for each, default in (("", Settings.drain_s), ("DELAY_", Settings.drain_delay_s))
            )
        if not drain:
            yield f"{pods.owner} has no drain time for the requests in progress"
            continue
        grace = pods.spec.get("terminationGracePeriodSeconds", 30)
        if pause + drain + SPARE_S > grace:
            yield f"{pods.owner} is killed after {grace} s; it needs {pause + drain + SPARE_S} s"


def rollouts_that_end(rendered: Manifests) -> Iterator[str]:
    """4: a rollout loses no capacity; with GPUs, it needs no additional one."""
    for name in SERVERS:
        spec = rendered.get(f"Deployment/{name}")["spec"]
        rolling = spec.get("strategy", {}).get("rollingUpdate", {})
        surge, lost = rolling.get("maxSurge"), rolling.get("maxUnavailable")
        if _uses_gpu(rendered.pods(name)[0]):
            if (surge, lost) != (0, 1):
                yield f"Deployment/{name} needs one more GPU during a rollout (maxSurge {surge})"
        elif not surge or lost != 0:
            yield f"Deployment/{name} loses pods in a rollout (maxUnavailable {lost})"
        for field in ("minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit"):
            if not spec.get(field):
                yield f"Deployment/{name} has no {field}"


def _uses_gpu(pods: Pods) -> bool:
    return GPU in pods.main["resources"].get("limits", {})


def one_autoscaler_each(rendered: Manifests) -> Iterator[str]:
    """5: one autoscaler owns the replicas, scales up fast, down slowly, and not by memory."""
    scalers = rendered.of_kind("HorizontalPodAutoscaler", "ScaledObject")
    for name in SERVERS:
        own = [each for each in scalers if each["spec"]["scaleTargetRef"]["name"] == name]
        if len(own) != 1:
            yield f"Deployment/{name} has {len(own)} autoscalers instead of one"
        if "replicas" in rendered.get(f"Deployment/{name}")["spec"]:
            yield f"Deployment/{name} sets replicas, which its autoscaler owns"
        if _uses_gpu(rendered.pods(name)[0]) and any("cpu" in str(each["spec"]) for each in own):
            yield f"Deployment/{name} computes on GPUs, but its autoscaler looks at the CPU"
    for scaler in scalers:
        yield from _scaler_findings(scaler, rendered.is_production)


def _scaler_findings(scaler: Object, is_production: bool) -> Iterator[str]:
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
            yield f"{name} has no metric to scale by"
    else:
        low, high = spec.get("minReplicas", 1), spec["maxReplicas"]
        behavior = spec.get("behavior", {})
        metrics = spec.get("metrics", ())
        by_memory = any(each.get("resource", {}).get("name") == "memory" for each in metrics)
        if not metrics:
            yield f"{name} has no metric to scale by"
    least = LEAST_IN_PRODUCTION if is_production else 1
    if not least <= low < high:
        yield f"{name} cannot scale from {low} to {high}; it needs {least} pods or more"
    if by_memory:
        yield f"{name} scales by memory, which includes the mapped index"
    if behavior.get("scaleDown", {}).get("stabilizationWindowSeconds", 300) < 300 or not behavior:
        yield f"{name} scales down in less than 300 s"
    if behavior.get("scaleUp", {}).get("stabilizationWindowSeconds", 0) > 60:
        yield f"{name} scales up later than after 60 s"


def spread_and_protected(rendered: Manifests) -> Iterator[str]:
    """6: one pod at a time is evicted; the pods of a revision are spread over zones and hosts."""
    for pods in rendered.pods(*SERVERS, WRITER):
        yield from _budget_findings(rendered, pods.owner.split("/")[1])
    for name in SERVERS:
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
                yield (
                    f"Deployment/{name} has a topologySpreadConstraint whose labelSelector "
                    "misses its own pods"
                )
            if each.get("matchLabelKeys") != ["pod-template-hash"]:
                yield (
                    f"Deployment/{name} counts the pods of old revisions in a "
                    "topologySpreadConstraint"
                )


def _budget_findings(rendered: Manifests, name: str) -> Iterator[str]:
    budget = rendered.find("PodDisruptionBudget", name)
    spec = budget["spec"] if budget else {}
    if spec.get("maxUnavailable") != 1:
        yield f"PodDisruptionBudget/{name} does not have maxUnavailable 1"
    if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield f"PodDisruptionBudget/{name} lets pods that are not ready block the drain of a node"


def bounded_resources(rendered: Manifests) -> Iterator[str]:
    """7: containers request what they need, and have limits of memory and disk but not of CPU."""
    for pods in rendered.pods():
        for container in pods.containers:
            name = f"{pods.owner}, container {container['name']},"
            asked = container.get("resources", {}).get("requests", {})
            limits = container.get("resources", {}).get("limits", {})
            for resource in ("cpu", "memory", "ephemeral-storage"):
                if resource not in asked:
                    yield f"{name} has no request of {resource}"
            for resource in ("memory", "ephemeral-storage"):
                if resource not in limits:
                    yield f"{name} has no limit of {resource}"
                elif quantity(limits[resource]) < quantity(asked.get(resource, "0")):
                    yield f"{name} requests more {resource} than its limit"
            if "cpu" in limits:
                yield f"{name} has a CPU limit, which throttles it"
        for volume in pods.spec.get("volumes", ()):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{pods.owner}'s volume {volume['name']} has no sizeLimit"
        yield from _thread_findings(pods)
    mounts = rendered.pods("triton")[0].main.get("volumeMounts", ())
    mounted = {mount["name"] for mount in mounts if mount["mountPath"] == SHARED_MEMORY}
    in_memory = {
        volume["name"]
        for volume in _volumes_of(rendered, "triton")
        if (volume.get("emptyDir") or {}).get("medium") == "Memory"
    }
    if not mounted & in_memory:
        yield f"Deployment/triton mounts no emptyDir of medium Memory at {SHARED_MEMORY}"


def _thread_findings(pods: Pods) -> Iterator[str]:
    """The number of threads is the CPU request, and the compiled search is cached on a volume."""
    name = pods.owner.split("/")[1]
    env = {each["name"]: each for each in pods.main.get("env", ())}
    for variable in THREADS.get(name, ()):
        source = env.get(variable, {}).get("valueFrom", {}).get("resourceFieldRef", {})
        if source.get("resource") != "requests.cpu":
            yield (
                f"{pods.owner} does not take {variable} from requests.cpu, but starts a "
                "thread for each core of the node"
            )
    for variable in ONE_THREAD if name in {"retrieval", WRITER} else ():
        if env.get(variable, {}).get("value") != "1":
            yield f"{pods.owner} starts threads in each search: {variable} is not 1"
    wants_gpu = flag(pods.main.get("args", ()), "--model-config-name") in FOR_A_GPU
    if wants_gpu is not _uses_gpu(pods):
        yield f"{pods.owner}: its --model-config-name and its limits disagree about a GPU"
    tolerated = {each.get("key") for each in pods.spec.get("tolerations", ())}
    if _uses_gpu(pods) and GPU not in tolerated:
        yield f"{pods.owner} does not tolerate the taint {GPU} of nodes with GPUs"
    asked = {kind: pods.main["resources"].get(kind, {}).get(GPU) for kind in ("requests", "limits")}
    if asked["requests"] != asked["limits"]:
        yield f"{pods.owner} requests another number of GPUs than its limit"
    for container in pods.containers:
        if not any(word.startswith("beauty-server") for word in container.get("command", ())):
            continue
        values = {each["name"]: each.get("value") for each in container.get("env", ())}
        cache = values.get("NUMBA_CACHE_DIR")
        mounts = container.get("volumeMounts", ())
        if cache not in {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}:
            yield f"{pods.owner} has no volume to write to at its NUMBA_CACHE_DIR, {cache}"


def models_that_stay_what_they_are(rendered: Manifests) -> Iterator[str]:
    """8: models and index are complete and do not change while they are used."""
    (triton,) = rendered.pods("triton")
    if "--model-control-mode=none" not in triton.main["args"]:
        yield "Deployment/triton can load models while it runs"
    if not any(word.startswith("--model-repository=") for word in triton.main["args"]):
        yield "Deployment/triton has no --model-repository"
    for pods in rendered.pods():
        for volume in pods.spec.get("volumes", ()):
            reference = volume.get("image", {}).get("reference", "@sha256:")
            if "@sha256:" not in reference:
                yield f"{pods.owner}'s volume {volume['name']} is an image without a digest"
            if "hostPath" in volume:
                yield f"{pods.owner}'s volume {volume['name']} is a folder of the node"


def _volumes_of(rendered: Manifests, name: str) -> list[Object]:
    return [volume for pods in rendered.pods(name) for volume in pods.volumes]


def _claim_of(volume: Object) -> str:
    return str(volume.get("persistentVolumeClaim", {}).get("claimName", ""))
