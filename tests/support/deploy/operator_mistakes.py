"""Mistakes that operators make in manifests of production: each has to be found by its policy.

The first ones were named by a review of the policies; the others were written down before the
policies that find them.
"""

from functools import partial

from tests.support.deploy.defects import (
    ALL,
    EXTRACT,
    IN_SERVER,
    IN_TRITON,
    INSIDE,
    POD,
    REBUILD,
    SERVER,
    SMOKE,
    TRITON,
)
from tests.support.deploy.seeded_defect import REMOVED, Defect

LOCAL = ("local-index",)
CRON_POD = "spec/jobTemplate/spec/template/spec"
T, S = IN_TRITON, IN_SERVER
MERGE = "Job/merge-index"
ALERTS = "PrometheusRule/beauty-retrieval-alerts"
HPA_R = "HorizontalPodAutoscaler/retrieval"
SO = "ScaledObject/triton"
IMAGE = "registry.example.com/beauty-retrieval/{}@sha256:" + "0" * 64

m = partial(Defect, overlay="gpu-prod")


def with_memory(size: str):
    """The resources of a container with another request and limit of memory."""
    return lambda resources: {kind: {**each, "memory": size} for kind, each in resources.items()}


def replaced(old: str, new: str):
    """A text, or every item of a list of texts, with one word replaced."""

    def change(value):
        if isinstance(value, str):
            return value.replace(old, new)
        return [each.replace(old, new) for each in value]

    return change


OPERATOR_MISTAKES = [
    # named in a review of the policies
    m("accounts swapped", SMOKE, f"{POD}/serviceAccountName", "merge-index", "belonging"),
    m("probe by HTTPS", TRITON, f"{T}/readinessProbe/httpGet/scheme", "HTTPS", "fields"),
    m("claim of one node", "PersistentVolumeClaim/index", "spec/accessModes", ["ReadWriteOnce"],
      "storage"),
    m("wrong key of handmade Secret", SERVER, f"{POD}/volumes/tokens/secret/items/0/key", "token",
      "environment", parts=INSIDE),
    m("job in an image without its packages", MERGE, f"{POD}/containers/merge-index/image",
      IMAGE.format("server"), "belonging"),
    m("memory limit below the sizing rule", SERVER, f"{S}/resources", with_memory("1Gi"), "sizing"),
    m("CronJob suspended", REBUILD, "spec/suspend", True, "fields"),
    m("index built by another engine", EXTRACT, f"{POD}/containers/extract-descriptors/env/-",
      {"name": "RETRIEVAL_ENGINE", "value": "embedded"}, "environment"),
    m("token by projected volume", SERVER, f"{POD}/volumes/tmp",
      {"name": "tmp", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
      "fields"),
    m("dnsPolicy", SERVER, f"{POD}/dnsPolicy", "Default", "fields"),
    m("liveness gives up after a second", SERVER, f"{S}/livenessProbe",
      {"grpc": {"port": 50052}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1},
      "fields"),
    m("priority class that is not there", SERVER, f"{POD}/priorityClassName", "search-critical",
      "fields"),
    m("publishNotReadyAddresses", "Service/retrieval", "spec/publishNotReadyAddresses", True,
      "fields"),
    m("Triton on loopback", TRITON, f"{T}/args/-", "--grpc-address=127.0.0.1", "fields"),
    m("autoscaler target of 700 %", HPA_R, "spec/metrics/0/resource/target/averageUtilization", 700,
      "fields"),
    m("one replica in production", HPA_R, "spec/minReplicas", 1, 5),
    m("disk limit below its volumes", SERVER, f"{POD}/volumes/tmp/emptyDir/sizeLimit", "1Gi",
      "sizing"),
    m("scrape timeout over interval", "PodMonitor/triton",
      "spec/podMetricsEndpoints/0/scrapeTimeout", "30s", 14, parts=ALL),
    m("certificate shorter than a restart", "Certificate/triton", "spec/duration", "24h", "fields",
      parts=ALL),
    # pods and containers
    m("host alias for Triton", SERVER, f"{POD}/hostAliases",
      [{"ip": "10.0.0.1", "hostnames": ["triton"]}], "fields"),
    m("pinned to a node", SERVER, f"{POD}/nodeName", "node-1", "fields"),
    m("liveness waits an hour", TRITON, f"{T}/livenessProbe/initialDelaySeconds", 3600, "fields"),
    m("liveness kills without grace", SERVER, f"{S}/livenessProbe/terminationGracePeriodSeconds", 1,
      "fields"),
    m("startup may take a week", SERVER, f"{S}/startupProbe/failureThreshold", 120000, "fields"),
    m("divisor of a millicore", SERVER,
      f"{S}/env/RETRIEVAL_WORKERS/valueFrom/resourceFieldRef/divisor", "1m", "fields"),
    m("cpu in millis without m", SERVER, f"{S}/resources/requests/cpu", "2000", "fields"),
    m("memory in millibytes", TRITON, f"{T}/resources", with_memory("12000m"), "fields"),
    m("shared memory larger than the limit", TRITON, f"{POD}/volumes/shm/emptyDir/sizeLimit",
      "64Gi", "sizing"),
    m("server runs the image of export", SERVER, f"{S}/image", IMAGE.format("export"), "belonging"),
    m("group of the volumes differs", MERGE, f"{POD}/securityContext/fsGroup", 1000, "fields"),
    m("root's group", SERVER, f"{POD}/securityContext/supplementalGroups", [0], "fields"),
    m("catalogue writable by a job", EXTRACT,
      f"{POD}/containers/extract-descriptors/volumeMounts/catalogue/readOnly", REMOVED, "storage"),
    m("wrong claim behind the index", MERGE, f"{POD}/volumes/index/persistentVolumeClaim/claimName",
      "catalogue", "storage"),
    m("sub-path of a mount", SERVER, f"{S}/volumeMounts/index/subPath", "current", "fields"),
    m("mode in decimal", SERVER, f"{POD}/volumes/tls/secret/defaultMode", 440, "fields",
      parts=INSIDE),
    m("key of the server given to a client", SMOKE, f"{POD}/volumes/tls/secret/items/-",
      {"key": "tls.key", "path": "tls.key"}, "environment", parts=INSIDE),
    m("settings optional", SERVER, f"{S}/envFrom/2/configMapRef/optional", True, "fields"),
    m("prefix of all settings", SERVER, f"{S}/envFrom/2/prefix", "X_", "fields"),
    m("tolerates every taint", TRITON, f"{POD}/tolerations/0/key", REMOVED, "fields"),
    m("setting hidden by env", SERVER, f"{S}/env/-", {"name": "RETRIEVAL_DRAIN_S", "value": "600"},
      "environment"),
    m("proxy in the environment", SERVER, f"{S}/env/-",
      {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}, "environment"),
    m("metrics of Triton off", TRITON, f"{T}/args/-", "--allow-metrics=false", "fields"),
    m("connections end each 0.3 s", TRITON, f"{T}/args", replaced("age=300000", "age=300"),
      "fields"),
    m("debug log of Triton", TRITON, f"{T}/args/-", "--log-verbose=9", "fields"),
    # deployments, services
    m("recreate", SERVER, "spec/strategy/type", "Recreate", "fields"),
    m("paused", TRITON, "spec/paused", True, "fields"),
    m("progress deadline below startup", SERVER, "spec/progressDeadlineSeconds", 30, "fields"),
    m("sticky sessions", "Service/retrieval", "spec/sessionAffinity", "ClientIP", "fields"),
    m("service to the metrics", "Service/triton", "spec/ports/0/targetPort", "http", "belonging"),
    m("external addresses", "Service/retrieval", "spec/externalIPs", ["203.0.113.1"], "fields"),
    m("traffic of the own node only", "Service/triton", "spec/internalTrafficPolicy", "Local",
      "fields"),
    # autoscalers
    m("scales the other deployment", HPA_R, "spec/scaleTargetRef/name", "triton", "belonging"),
    m("never scales down", HPA_R, "spec/behavior/scaleDown/selectPolicy", "Disabled", "fields"),
    m("threshold of a thousandth", SO, "spec/triggers/0/metadata/threshold", "0.008", "fields",
      parts=ALL),
    m("asks Prometheus of another namespace", SO, "spec/triggers/0/metadata/serverAddress",
      "http://prometheus.default.svc:9090", "fields", parts=ALL),
    m("paused by an annotation", SO, "metadata/annotations",
      {"autoscaling.keda.sh/paused-replicas": "0"}, "fields", parts=ALL),
    m("polls once an hour", SO, "spec/pollingInterval", 3600, "fields", parts=ALL),
    # jobs
    m("no pod at a time", EXTRACT, "spec/parallelism", 0, "fields"),
    m("retries a thousand times", MERGE, "spec/backoffLimit", 1000, "fields"),
    m("deadline of a minute", MERGE, "spec/activeDeadlineSeconds", 60, "fields"),
    m("waits longer than its deadline", SMOKE, f"{POD}/containers/smoke-test/args",
      replaced("86000", "864000"), 15),
    m("once a year", REBUILD, "spec/schedule", "15 3 31 2 *", 15),
    m("five seconds to start", REBUILD, "spec/startingDeadlineSeconds", 5, "fields"),
    m("time zone that is not there", REBUILD, "spec/timeZone", "Europe/Nowhere", "fields"),
    m("shards written elsewhere", EXTRACT, f"{POD}/containers/extract-descriptors/args",
      replaced("/index/.shards", "/index/shards"), 15),
    m("rebuild with another profile", REBUILD, f"{CRON_POD}/containers/rebuild-index/env/-",
      {"name": "BEAUTY_EXPORT_PROFILE", "value": "paper"}, "environment"),
    m("every other exit is ignored", SMOKE, "spec/podFailurePolicy/rules/1/onExitCodes/operator",
      "NotIn", "fields"),
    # storage, settings, namespace
    m("megabytes of index", "PersistentVolumeClaim/index", "spec/resources/requests/storage",
      "50Mi", "sizing"),
    m("block volume", "PersistentVolumeClaim/catalogue", "spec/volumeMode", "Block", "fields"),
    m("old profile of pod security", "Namespace/beauty-retrieval",
      "metadata/labels/pod-security.kubernetes.io~enforce-version", "v1.20", "fields"),
    m("pull secret nobody makes", "ServiceAccount/retrieval", "imagePullSecrets",
      [{"name": "regcred"}], "fields"),
    # watching
    m("path of the metrics", "PodMonitor/retrieval", "spec/podMetricsEndpoints/0/path", "/metric",
      "fields", parts=ALL),
    m("scraped each quarter of an hour", "PodMonitor/retrieval",
      "spec/podMetricsEndpoints/0/interval", "15m", "fields", parts=ALL),
    m("window shorter than two scrapes", ALERTS, "spec/groups/0/rules/4/expr",
      replaced("[5m]", "[15s]"), 14, "PrometheusRule", parts=ALL),
    m("alert after five days", ALERTS, "spec/groups/0/rules/2/for", "5d", "fields", parts=ALL),
    # certificates, gateway
    m("key of 1024 bits", "Certificate/triton", "spec/privateKey",
      {"algorithm": "RSA", "size": 1024}, "fields", parts=ALL),
    m("two certificates in one Secret", "Certificate/triton-client", "spec/secretName",
      "triton-tls", "references", parts=ALL),
    m("gateway for every name", "Gateway/beauty-retrieval", "spec/listeners/0/hostname", "*.com",
      "fields", parts=ALL),
    m("all weight elsewhere", "GRPCRoute/retrieval", "spec/rules/0/backendRefs/0/weight", 0,
      "fields", parts=ALL),
    # between objects
    m("certificate of a server in a client's place", SERVER,
      f"{POD}/volumes/triton-client-tls/secret/secretName", "triton-tls", "environment", parts=ALL),
    m("authority in place of the certificate", "ConfigMap/triton", "data/RETRIEVAL_TRITON_TLS_CERT",
      "/tls/triton-client/ca.crt", "environment", SERVER, parts=ALL),
    m("key where the certificate should be", TRITON, f"{T}/args",
      replaced("server-cert=/tls/triton/tls.crt", "server-cert=/tls/triton/tls.key"),
      "environment", parts=ALL),
    m("whole Secret for a part of it", SMOKE, f"{POD}/volumes/tls/secret/items", REMOVED,
      "environment", parts=INSIDE),
    m("certificate without the name that is used", "Certificate/triton", "spec/dnsNames/0",
      REMOVED, "references", parts=ALL),
    m("GPUs scaled by the CPU", "HorizontalPodAutoscaler/triton", "spec/metrics",
      [{"type": "Resource", "resource": {"name": "cpu", "target":
        {"type": "Utilization", "averageUtilization": 70}}}], 5, TRITON),
    m("no folder to write to", SMOKE, f"{POD}/containers/smoke-test/volumeMounts/tmp/mountPath",
      "/var/tmp", "storage"),
    m("waits without a pause", SERVER, f"{POD}/initContainers/await-input/args",
      replaced("sleep 2", "sleep 0"), "references"),
    m("script that no shell reads", MERGE, f"{POD}/initContainers/await-shards/args",
      replaced("; done", ""), "references"),
    m("option that changes the index", MERGE, f"{POD}/containers/merge-index/args/-",
      "--threshold=0.1", "fields"),
    m("reads the index of nobody", EXTRACT, f"{POD}/containers/extract-descriptors/args",
      replaced("--reuse=/index", "--reuse=/catalogue"), 15),
    m("asks Triton for the answer", SMOKE, f"{POD}/containers/smoke-test/args/0",
      "--server=triton:8001", 15),
    m("setting from another key", SERVER,
      f"{POD}/initContainers/await-input/env/RETRIEVAL_INDEX/valueFrom/configMapKeyRef/key",
      "RETRIEVAL_HOST", "environment"),
    m("local disk smaller than the index", SERVER, f"{POD}/volumes/index/emptyDir/sizeLimit", "5Gi",
      "sizing", parts=LOCAL),
    m("index fetched in the clear", "ConfigMap/index-source", "data/INDEX_SOURCE",
      "http://indexes.example.com", "fields", parts=LOCAL),
    m("index of no source", SERVER, f"{POD}/initContainers/fetch-index", REMOVED, "storage",
      parts=LOCAL),
    m("probe without a time limit", TRITON, f"{T}/livenessProbe/exec/command",
      replaced(" --max-time 4", ""), "references", parts=INSIDE),
    m("metadata of the node open", "NetworkPolicy/index-source",
      "spec/egress/0/to/0/ipBlock/except/3", REMOVED, 10, parts=LOCAL),
    m("page with the tokens of all", "Deployment/web", f"{POD}/volumes/tokens/secret/items/0/key",
      "tokens", "environment", parts=("tls", "web", "client-tls")),
    m("page that is never ready", "Deployment/web", f"{POD}/containers/web/readinessProbe/httpGet",
      REMOVED, "fields", parts=("web",)),
    m("old versions for ever", "ConfigMap/index-build", "data/BEAUTY_EXPORT_KEEP_VERSIONS", REMOVED,
      "sizing", "PersistentVolumeClaim/index"),
    m("shards for ever", MERGE, f"{POD}/containers/merge-index/args/--remove-shards", REMOVED, 15),
    m("engines nowhere to be written", TRITON, f"{T}/volumeMounts/tensorrt/mountPath", "/cache",
      "storage"),
    m("panel in milliseconds", "ConfigMap/beauty-retrieval-dashboard", "data/beauty-retrieval.json",
      replaced('"unit": "s"', '"unit": "ms"'), 14, parts=ALL),
    m("panel of every namespace", "ConfigMap/beauty-retrieval-dashboard",
      "data/beauty-retrieval.json",
      replaced('sum(beauty_ready{namespace=\\"$namespace\\"})', "sum(beauty_ready)"), 14,
      parts=ALL),
    m("image of another job", "Job/merge-index", f"{POD}/initContainers/await-shards/image",
      IMAGE.format("server"), "belonging"),
]  # fmt: skip
