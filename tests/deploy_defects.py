"""Faults that real deployments have had, each a small patch on rendered manifests that are sound.

They test the policies: every one has to be found, by the check it is meant for and at the object
that it is in. Where a published deployment had one, the comment says which.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from manifests import Manifests, manifests

REMOVED: Any = object()
POD, JOB = "spec/template/spec", "spec/jobTemplate/spec"
TRITON, SERVER = "Deployment/triton", "Deployment/retrieval"
IN_TRITON, IN_SERVER = f"{POD}/containers/triton", f"{POD}/containers/retrieval"
SMOKE, EXTRACT, REBUILD = "Job/smoke-test", "Job/extract-descriptors", "CronJob/rebuild-index"
ALL = ("monitoring", "keda", "tls", "gateway", "image-volume", "scale-out")
INSIDE = ("monitoring", "tls", "client-tls")


@dataclass(frozen=True)
class Defect:
    """A fault and where it is.

    Attributes:
        name: what a reviewer would call it.
        target: the object, as ``Kind/name``.
        path: in it; a list's item by its ``name`` or number, ``-`` for one more.
        value: what stands there then, or a function of what stood there.
        found_by: number of the policy, ``references`` or ``schema``.
        named: object in the finding, if it is not the target.
        overlay: rendering to damage, and its components.
        parts: see ``overlay``.
    """

    name: str
    target: str
    path: str
    value: Any
    found_by: int | str
    named: str = ""
    overlay: str = "cpu-dev"
    parts: tuple[str, ...] = ()

    def damaged(self) -> Manifests:
        """A sound rendering, with the fault in it."""
        sound = manifests(self.overlay, self.parts)
        target = sound.get(self.target)
        changed = copy.deepcopy(target)
        patch(changed, self.path.split("/") if self.path else [], self.value)
        objects = [changed if each is target else each for each in sound.objects]
        return replace(sound, objects=[each for each in objects if each])


def patch(node: Any, path: list[str], value: Any) -> None:
    """Set or remove what stands at a path."""
    if not path:
        node.clear()
        return
    *way, last = path
    for step in way:
        node = node[key(node, step)]
    if last == "-":
        node.append(value)
    elif value is REMOVED:
        del node[key(node, last)]
    else:
        step = key(node, last)
        node[step] = value(node[step]) if callable(value) else value


def key(node: Any, step: str) -> Any:
    """The key of a step: in a list, the position of the item with that name."""
    step = step.replace("~", "/")
    if not isinstance(node, list):
        return step
    if step.isdecimal():
        return int(step)
    names = [each.get("name") if isinstance(each, dict) else each for each in node]
    return names.index(step)


def without(flag: str) -> Callable[[list[str]], list[str]]:
    """The change of Triton's arguments that drops one of them."""
    return lambda arguments: [each for each in arguments if not each.startswith(f"--{flag}")]


D = Defect
DEFECTS = [
    # 1: workloads
    D("server may write the index", SERVER, f"{IN_SERVER}/volumeMounts/index/readOnly", False, 1),
    D("service of no pod", "Service/triton", "spec/selector", {"app": "triton"}, "references"),
    # 2: probes
    D("no startup probe", TRITON, f"{IN_TRITON}/startupProbe", REMOVED, 2),
    D("no liveness probe", SERVER, f"{IN_SERVER}/livenessProbe", REMOVED, 2),
    # k8s-onprem: a model that fails restarts the server, for ever
    D("liveness asks for readiness", TRITON, f"{IN_TRITON}/livenessProbe/httpGet/path",
      "/v2/health/ready", 2),
    D("liveness hangs on Triton", SERVER, f"{IN_SERVER}/livenessProbe/grpc/service",
      "retrieval_server.v1.RetrievalService", 2),
    D("readiness asks for life", SERVER, f"{IN_SERVER}/readinessProbe/grpc/service", REMOVED, 2),
    # tutorials/trtllm: slow loads are killed
    D("killed while it loads", TRITON, f"{IN_TRITON}/startupProbe/failureThreshold", 3, 2),
    D("probe of a service nobody knows", SERVER, f"{IN_SERVER}/readinessProbe/grpc/service",
      "readiness", 2),
    # 3: ends
    # SuperSONIC: the preStop hook runs `touch` without an argument, and sleeps no second
    D("no time before SIGTERM", TRITON, f"{IN_TRITON}/lifecycle", REMOVED, 3),
    D("killed before it has drained", SERVER, f"{POD}/terminationGracePeriodSeconds", 30, 3),
    D("killed before Triton gives up", TRITON, f"{IN_TRITON}/lifecycle/preStop/sleep/seconds",
      30, 3),
    D("Triton's own exit timeout", TRITON, f"{IN_TRITON}/args", without("exit-timeout"), 3),
    # 4: rollouts
    D("capacity lost in a rollout", SERVER, "spec/strategy/rollingUpdate/maxUnavailable", 1, 4),
    D("rollout waits for a GPU for ever", TRITON, "spec/strategy/rollingUpdate",
      {"maxSurge": 1, "maxUnavailable": 0}, 4, overlay="gpu-prod"),
    D("rollout never fails", TRITON, "spec/progressDeadlineSeconds", REMOVED, 4),
    # 5: autoscaling
    # tutorials/trtllm: every apply scales back to one
    D("replicas beside an autoscaler", TRITON, "spec/replicas", 1, 5),
    D("scales by memory", "HorizontalPodAutoscaler/retrieval", "spec/metrics/0/resource/name",
      "memory", 5),
    D("shrinks in haste", "HorizontalPodAutoscaler/triton",
      "spec/behavior/scaleDown/stabilizationWindowSeconds", 0, 5),
    D("autoscaler of nothing", "HorizontalPodAutoscaler/triton", "spec/scaleTargetRef/name",
      "tritonserver", "references"),
    D("autoscaler that cannot scale", "HorizontalPodAutoscaler/triton", "spec/maxReplicas", 1, 5),
    D("no fallback without Prometheus", "ScaledObject/triton", "spec/fallback", REMOVED, 5,
      overlay="gpu-prod", parts=ALL),
    # 6: disruptions
    D("drained nodes take everything", "PodDisruptionBudget/triton", "spec/maxUnavailable", 2, 6),
    D("a broken pod blocks a drain", "PodDisruptionBudget/retrieval",
      "spec/unhealthyPodEvictionPolicy", REMOVED, 6),
    D("budget of other pods", "PodDisruptionBudget/triton",
      "spec/selector/matchLabels/app.kubernetes.io~name", "tritonserver", "references"),
    D("all pods on one node", SERVER, f"{POD}/topologySpreadConstraints/1", REMOVED, 6),
    D("old pods count in the spread", TRITON, f"{POD}/topologySpreadConstraints/0/matchLabelKeys",
      REMOVED, 6),
    # 7: resources
    D("no memory limit", TRITON, f"{IN_TRITON}/resources/limits/memory", REMOVED, 7),
    D("no CPU request", SERVER, f"{IN_SERVER}/resources/requests/cpu", REMOVED, 7),
    D("CPU limit", SERVER, f"{IN_SERVER}/resources/limits/cpu", "2", 7),
    D("limit below the request", SERVER, f"{IN_SERVER}/resources/limits/memory", "256Mi", 7),
    # tutorials/trtllm: /dev/shm is mounted in the init container only
    D("64 MiB of shared memory", TRITON, f"{IN_TRITON}/volumeMounts/shm/mountPath", "/shm", 7),
    D("disk without bounds", SERVER, f"{POD}/volumes/tmp/emptyDir", {}, 7),
    D("threads of the whole node", SERVER, f"{IN_SERVER}/env/RETRIEVAL_WORKERS",
      {"name": "RETRIEVAL_WORKERS", "value": "64"}, 7),
    D("search compiled at each start", SERVER, f"{IN_SERVER}/env/NUMBA_CACHE_DIR/value",
      "/home/server/.cache", 7),
    D("threads inside of threads", SERVER, f"{IN_SERVER}/env/OPENBLAS_NUM_THREADS", REMOVED, 7),
    D("GPU configurations without a GPU", TRITON, f"{IN_TRITON}/args/-",
      "--model-config-name=cuda", 7),
    # 8: models
    D("models loaded at run time", TRITON, f"{IN_TRITON}/args/--model-control-mode=none",
      "--model-control-mode=poll", 8),
    D("index image by tag", SERVER, f"{POD}/volumes/index/image/reference", "example.com/index:1",
      8, overlay="gpu-prod", parts=ALL),
    D("models of the node", TRITON, f"{POD}/volumes/tmp",
      {"name": "tmp", "hostPath": {"path": "/"}}, 8),
    # 9: pod security
    D("namespace enforces nothing", "Namespace/beauty-retrieval",
      "metadata/labels/pod-security.kubernetes.io~enforce", "baseline", 9),
    D("may run as root", TRITON, f"{POD}/securityContext/runAsNonRoot", REMOVED, 9),
    D("writable root file system", SERVER, f"{IN_SERVER}/securityContext/readOnlyRootFilesystem",
      False, 9),
    D("privileges in an init container", SERVER,
      f"{POD}/initContainers/await-input/securityContext", REMOVED, 9),
    D("keeps NET_RAW", SMOKE, f"{POD}/containers/smoke-test/securityContext/capabilities",
      {"drop": ["NET_ADMIN"]}, 9),
    D("no seccomp profile", EXTRACT, f"{POD}/securityContext/seccompProfile", REMOVED, 9),
    D("token of the API server", REBUILD, f"{JOB}/{POD[5:]}/automountServiceAccountToken", True, 9),
    D("the namespace's own account", SERVER, f"{POD}/serviceAccountName", "default", 9),
    D("network of the node", TRITON, f"{POD}/hostNetwork", True, 9),
    D("chown of the whole index", SERVER, f"{POD}/securityContext/fsGroupChangePolicy", "Always",
      9),
    D("account that hands out its token", "ServiceAccount/triton",
      "automountServiceAccountToken", True, 9),
    D("volumes of another group", "Job/merge-index", f"{POD}/securityContext/fsGroup", REMOVED, 9),
    # 10: network
    D("no default", "NetworkPolicy/default-deny", "spec/policyTypes", ["Ingress"], 10,
      named="NetworkPolicy"),
    D("Triton open to all", "NetworkPolicy/triton", "spec/ingress/0/from", REMOVED, 10,
      named="NetworkPolicy"),
    D("Triton's HTTP open to the server", "NetworkPolicy/triton", "spec/ingress/0/ports", REMOVED,
      10, named="NetworkPolicy"),
    D("jobs cannot reach Triton", EXTRACT,
      f"{POD[:-5]}/metadata/labels/beauty-retrieval~asks-triton", REMOVED, 10,
      named="NetworkPolicy"),
    D("no name is resolved", "NetworkPolicy/dns", "spec/egress/0/ports/0/port", 5353, 10,
      named="NetworkPolicy"),
    D("metrics for everybody", "NetworkPolicy/metrics", "spec/ingress/0/from/0/namespaceSelector",
      {}, 10, named="NetworkPolicy", parts=("monitoring",)),
    D("server may call anybody", "NetworkPolicy/asks-triton", "spec/egress/0/to", REMOVED, 10,
      named="NetworkPolicy"),
    # 11: Triton's doors
    D("model API open", TRITON, f"{IN_TRITON}/args", without("grpc-restricted"), 11),
    D("inference over HTTP", TRITON, f"{IN_TRITON}/args", without("http-restricted"), 11),
    D("shared memory for clients", TRITON, f"{IN_TRITON}/args/-", "--allow-client-shm=true", 11),
    D("TLS on one side only", TRITON, f"{IN_TRITON}/args",
      without("grpc-use-ssl"), 11, parts=ALL),
    D("gateway in the clear", "Gateway/beauty-retrieval", "spec/listeners/0/protocol", "HTTP", 11,
      parts=ALL),
    # 12: images and secrets
    D("latest", TRITON, f"{IN_TRITON}/image", "beauty-retrieval-triton:latest", 12),
    D("tag in production", SERVER, f"{IN_SERVER}/image", "example.com/server:0.1.0", 12,
      overlay="gpu-prod"),
    # CDS visual-search: NVIDIA_API_KEY is a plain value
    D("secret in the environment", SERVER, f"{IN_SERVER}/env/-",
      {"name": "RETRIEVAL_TRITON_ACCESS_KEY", "value": "admin=1234"}, 12),
    D("secret in a ConfigMap", "ConfigMap/triton", "data/RETRIEVAL_TRITON_ACCESS_KEY", "a=b", 12),
    # 13: traffic
    D("every client sticks to one pod", "Service/triton", "spec/clusterIP", REMOVED, 13),
    D("connections for ever", "ConfigMap/retrieval", "data/RETRIEVAL_MAX_CONNECTION_AGE_S", "0", 13,
      named=SERVER),
    D("Triton keeps connections", TRITON, f"{IN_TRITON}/args", without("grpc-max"), 13),
    D("HTTP/1 behind a mesh", "Service/retrieval", "spec/ports/0/appProtocol", REMOVED, 13),
    D("reflection for the world", "GRPCRoute/retrieval", "spec/rules/0/matches", REMOVED, 13,
      parts=ALL),
    D("open outside of the cluster", "Service/retrieval", "spec/type", "NodePort", 13),
    # 14: watching
    D("server not scraped", "PodMonitor/retrieval",
      "spec/selector/matchLabels/app.kubernetes.io~name", "server", 14, named=SERVER, parts=ALL),
    D("alert without a runbook", "PrometheusRule/beauty-retrieval-alerts",
      "spec/groups/0/rules/0/annotations/runbook_url", REMOVED, 14, named="PrometheusRule",
      parts=ALL),
    D("nobody watches the errors", "PrometheusRule/beauty-retrieval-alerts",
      "spec/groups/0/rules/2/expr", "vector(1) > 2", 14, named="PrometheusRule", parts=ALL),
    # 15: jobs
    D("evictions count as failures", EXTRACT, "spec/podFailurePolicy/rules/0", REMOVED, 15),
    D("bad input again and again", EXTRACT, "spec/podFailurePolicy/rules/1/onExitCodes/values",
      [42], 15),
    D("one bad shard fails all", EXTRACT, "spec/backoffLimitPerIndex", REMOVED, 15),
    D("shards that nobody does", EXTRACT, "spec/completions", 3, 15),
    D("two rebuilds at a time", REBUILD, "spec/concurrencyPolicy", "Allow", 15),
    D("a job without end", SMOKE, "spec/activeDeadlineSeconds", REMOVED, 15),
    D("schedule that never comes", REBUILD, "spec/schedule", "15 25 * * *", 15),
    # 16: settings
    D("Triton's probe at another port", TRITON, f"{IN_TRITON}/readinessProbe/httpGet/port",
      "metrics", 16),
    D("setting that is no number", "ConfigMap/retrieval", "data/RETRIEVAL_RELOAD_EVERY_S", "often",
      16, named=SERVER),
    D("port of nobody", SERVER, f"{IN_SERVER}/ports/grpc/containerPort", 50061, 16),
    D("misspelt setting", "ConfigMap/retrieval", "data/RETRIEVAL_DRAIN_SECONDS", "20", 16,
      named=SERVER),
    D("server on loopback", "ConfigMap/retrieval", "data/RETRIEVAL_HOST", "127.0.0.1", 16),
    D("Triton elsewhere", "ConfigMap/triton", "data/RETRIEVAL_TRITON_URL", "triton:8000", 16,
      named="ConfigMap/retrieval"),
    D("probe without TLS on a port with it", SERVER, f"{IN_SERVER}/readinessProbe/grpc/port", 50051,
      16, parts=INSIDE),
    # references
    D("target port that no pod has", "Service/retrieval", "spec/ports/0/targetPort", "http2",
      "references"),
    D("claim that is not there", SERVER, f"{POD}/volumes/index/persistentVolumeClaim/claimName",
      "indexes", "references"),
    D("settings that are not there", SERVER, f"{IN_SERVER}/envFrom/0/configMapRef/name", "settings",
      "references"),
    D("secret that nobody makes", SERVER, f"{POD}/volumes/triton-client-tls/secret/secretName",
      "client", "references", parts=ALL),
    D("account that is not there", SMOKE, f"{POD}/serviceAccountName", "smoke", "references"),
    D("certificate of another name", "Certificate/triton", "spec/dnsNames",
      ["tritonserver.beauty-retrieval.svc"], "references", parts=ALL),
    D("certificate that is not mounted", SERVER, f"{IN_SERVER}/volumeMounts/triton-client-tls",
      REMOVED, "references", parts=ALL),
    D("route to a port of nobody", "GRPCRoute/retrieval", "spec/rules/0/backendRefs/0/port", 8001,
      "references", parts=ALL),
    D("server at a port of nobody", SMOKE, f"{POD}/containers/smoke-test/args/0",
      "--server=retrieval:8001", "references"),
    D("certificate renewed all the time", "Certificate/triton", "spec/renewBefore", "2160h",
      "references", parts=ALL),
    # schemas
    # k8s-onprem: the chart can no longer be installed
    D("removed API version", "HorizontalPodAutoscaler/triton", "apiVersion", "autoscaling/v2beta2",
      "schema"),
    D("field in the wrong place", TRITON, f"{POD}/readinessProbe", {"periodSeconds": 5}, "schema"),
    D("number as text", SERVER, "spec/minReadySeconds", "five", "schema"),
    D("misspelt field", "PodDisruptionBudget/triton", "spec/maxUnavailible", 1, "schema"),
    D("misspelt field of an operator's", "PodMonitor/triton",
      "spec/podMetricsEndpoints/0/intervall", "15s", "schema", parts=ALL),
    D("misspelt field of a route", "GRPCRoute/retrieval", "spec/rules/0/backendRef", [], "schema",
      parts=ALL),
    D("kind that nobody has", "Service/triton", "kind", "Services", "schema",
      named="Services/triton"),
]  # fmt: skip
